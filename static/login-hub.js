/**
 * <login-hub>: the whole sign-in as one element, on the hub's own page and on those of ALLOWED_ORIGINS.
 *
 * Attributes: `endpoint`, `door`, `methods`, `theme`, `language`, `redirect-uri`, `state`, `code-challenge`, `paused`.
 * Events: `pending`, `scanned`, `confirmed`, `expired`, `declined`, `error`. `hub` is its LoginHub, with the tokens.
 */
import { wire } from "./forms.js";
import { LoginHub } from "./hub-client.js";
import { pause } from "./hub-watch.js";
import { knows, nameCountries, readTexts, showAvatar, text } from "./page.js";

const ASKED = ["door", "purpose", "redirect-uri", "state", "code-challenge", "code-challenge-method"];
const STALE_AFTER = 12000; // ms after its rotation was due, a code is no longer accepted
const PATIENCE = 3000; // ms without a line before the person is told
const LEAVING = 3000; // ms in which WeChat's page may lead this very window on
const NO_WORDS = "The sign-in service cannot be reached. 无法连接登录服务。"; // they would have come from there

const say = (name, values) => text(`page.sign_in.${name}`, values);

customElements.define("login-hub", class extends HTMLElement {
  #timer; #hint; #shown; #ready;
  #deadline; // {end, codeEnd, total} in ms of performance.now(): the wall clock may be wrong

  async connectedCallback() {
    const base = this.getAttribute("endpoint") ?? new URL("/", import.meta.url);
    this.hub ??= new LoginHub({ base, language: this.getAttribute("language") ?? undefined });
    this.#timer = setInterval(() => this.#tick(), 1000);
    addEventListener("online", this.#online);
    try {
      if (!this.shadowRoot) await this.#load();
      if (!this.#ready) this.#furnish();
      if (!this.hasAttribute("paused")) this.start();
    } catch ({ slug, message }) {
      this.attachShadow({ mode: "open" }).textContent = message || NO_WORDS;
      this.#tell("error", { reason: slug, message: message || NO_WORDS });
    }
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    removeEventListener("online", this.#online);
    this.hub.stop();
  }

  #online = () => this.dataset.status === "unavailable" && this.start();

  /** Get the card; on the hub's own page it is there already. */
  async #load() {
    const query = new URLSearchParams({ methods: this.getAttribute("methods") ?? "", ...this.#asked() });
    const { html, css } = await this.hub.call(`/api/card?${query}`);
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = html;
    for (const link of root.querySelectorAll("[href]")) link.href = new URL(link.getAttribute("href"), this.hub.base);
  }

  #asked() {
    const given = ASKED.filter((name) => this.hasAttribute(name));
    return Object.fromEntries(given.map((name) => [name.replaceAll("-", "_"), this.getAttribute(name)]));
  }

  #$(id) {
    return this.shadowRoot.getElementById(id);
  }

  #furnish() {
    const root = this.shadowRoot;
    this.#ready = true;
    readTexts(root);
    nameCountries(root, root.querySelector("[lang]").lang);
    for (const button of root.querySelectorAll("[data-renew]")) {
      button.addEventListener("click", () => {
        this.#$("status").focus(); // the button goes, and must not take the focus with it
        this.hub.cancel();
        this.start();
      });
    }
    for (const form of root.querySelectorAll("form")) {
      wire(form, this.hub, async (body) => {
        const session = await this.hub.signIn(form.dataset.path, body);
        form.reset();
        this.hub.cancel(); // nobody needs the code any more
        this.#finish(session, session.user);
      });
    }
    const tabs = [...root.querySelectorAll("[role=tab]")];
    const choose = (chosen) => {
      for (const tab of tabs) {
        tab.ariaSelected = tab === chosen;
        tab.tabIndex = tab === chosen ? 0 : -1;
        this.#$(`panel-${tab.dataset.way}`).hidden = tab !== chosen;
      }
      this.dataset.chosen = chosen.dataset.way;
    };
    for (const [place, tab] of tabs.entries()) {
      tab.addEventListener("click", () => choose(tab));
      tab.addEventListener("keydown", ({ key }) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
        if (!step) return;
        const next = tabs.at((place + step) % tabs.length);
        next.focus();
        choose(next);
      });
    }
  }

  /** Begin, or begin anew: with a fresh code. */
  async start() {
    if (!this.#$("code")) return; // people are led on by a link, or sign in by other ways
    this.#shown = null;
    this.#$("code").hidden = true; // the former one is dead
    this.#show("starting", say("starting"));
    try {
      await this.hub.start(this.#asked());
      this.hub.watch((snapshot) => this.#take(snapshot), (line) => this.#tellLine(line));
    } catch (problem) {
      this.#fail(problem);
    }
  }

  /** Finish the attempt *id*, which WeChat's own page has led back from. */
  resume(id) {
    this.hub.attempt = { session_id: id };
    this.#take({ status: "confirmed" });
  }

  #take({ status, reason, user_info: user, expires_in: life, qr_expires_in: code }) {
    const binds = this.getAttribute("purpose") === "bind"; // for who is signed in, and binds by what `confirmed` tells
    if (this.hub.session && !binds) return; // another way was quicker
    if (status === "pending" || status === "scanned") {
      const now = performance.now();
      const former = this.dataset.status === status ? this.#deadline?.total ?? 0 : 0;
      this.#deadline = { end: now + life * 1000, codeEnd: now + (code ?? Infinity) * 1000, total: Math.max(life * 1000, former) };
    } else this.#tellLine({ live: true });
    if (status === "pending") {
      this.#show(status, say(status));
      this.#showCode();
      this.#tell(status);
    } else if (status === "scanned") {
      const nickname = user?.nickname || text("page.person.nameless"); // WeChat tells some apps no name
      showAvatar(this.shadowRoot, user?.avatar_url);
      this.#$("name").textContent = nickname;
      this.#show(status, say(status, { nickname }));
      this.#tell(status, { user });
    } else if (status === "confirmed" && binds) this.#tell(status);
    else if (status === "confirmed") {
      this.#show(status, say(status));
      // Two pages must not redeem the same attempt: the tokens would go to the one that is being left.
      setTimeout(() => this.#redeem(user), this.hub.attempt.authorize_url ? LEAVING : 0);
    } else if (status === "expired") this.#end(status, status, say(status));
    else {
      const words = knows(`page.sign_in.failed.${reason}`) ? reason : "unknown";
      const refused = ["declined", "reported", "cancelled"].includes(reason);
      this.#end("failed", refused ? "declined" : "error", say(`failed.${words}`), reason);
    }
    this.#tick();
  }

  async #redeem(user) {
    try {
      if (this.hasAttribute("redirect-uri")) location.replace(await this.hub.redirectUrl());
      else this.#finish(this.hub.session ?? await this.hub.redeem(), user);
    } catch (problem) {
      this.#fail(problem);
    }
  }

  #finish(session, user) {
    this.hub.stop();
    this.#show("confirmed", say("signed_in"));
    this.#tell("confirmed", { session, user });
  }

  #fail({ status, slug, message }) {
    this.#end("unavailable", "error", status === 0 ? say("unreachable") : message || say("failed.unknown"), slug);
  }

  #end(status, event, message, reason = event) {
    this.#show(status, message);
    this.#tell(event, { reason, message });
  }

  #tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  #show(status, words) {
    this.dataset.status = status;
    for (const part of this.shadowRoot.querySelectorAll("[data-when]")) {
      part.hidden = !part.dataset.when.split(" ").includes(status);
    }
    if (this.#$("status").textContent !== words) this.#$("status").textContent = words;
    if (this.#$("time-left").hidden) this.#deadline = null;
  }

  /** Swap the picture when the new one can be painted; or show the way to WeChat's page. */
  async #showCode() {
    const { qr_url: url, authorize_url: away } = this.hub.attempt;
    const [link, frame] = ["window", "frame"].map((id) => this.#$(id));
    link.hidden = !away;
    if (this.#shown === (away ?? url)) return;
    this.#shown = away ?? url;
    if (away) {
      link.href = away;
      if (!frame) return;
      frame.src = away.replace("#", "&login_type=jssdk&self_redirect=default#"); // it leads this window on
      frame.hidden = false;
      return;
    }
    const next = this.#$("code").cloneNode();
    next.hidden = false;
    for (let tries = 0; this.#shown === url; tries += 1) {
      next.src = url;
      const painted = await next.decode().then(() => true, () => false);
      if (this.#shown !== url) return;
      if (painted) return this.#$("code").replaceWith(next);
      if (tries === 2) return this.#fail({ status: 0 });
      next.removeAttribute("src");
      await pause(1000);
    }
  }

  /** Once a second: the ring, the time left, and what the server would say if it could be heard. */
  #tick() {
    if (!this.#deadline) return;
    const { end, codeEnd, total } = this.#deadline;
    const now = performance.now();
    const seconds = Math.max(0, Math.ceil((end - now) / 1000));
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    this.#$("ring").style.strokeDashoffset = 100 - 100_000 * seconds / total;
    this.#$("time-left").textContent = say("time_left", { time });
    this.toggleAttribute("data-stale", now > codeEnd + STALE_AFTER);
    if (now > end + 5000) this.#end("expired", "expired", say("expired"));
  }

  /** A short break is nobody's business; a longer one is said quietly. */
  #tellLine({ live, channel = "websocket", ended }) {
    const line = this.#$("connection");
    if (!live && !ended) {
      this.#hint ??= setTimeout(() => { line.textContent = say("offline"); }, PATIENCE);
      return;
    }
    clearTimeout(this.#hint);
    this.#hint = null;
    line.textContent = channel === "websocket" || ended ? "" : say("fallback");
    if (ended) this.#end("expired", "expired", say("expired"));
  }
});
