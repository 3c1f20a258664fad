/**
 * <login-hub>: the whole sign-in as one element, on the hub's own page and on those of ALLOWED_ORIGINS.
 *
 * Attributes, all optional: `endpoint` (the hub's address), `door`, `methods` (of scan, phone, email, password), `theme`
 * (light, dark, auto), `language`; with `redirect-uri`, `state` and `code-challenge` the sign-in ends there, with a
 * code; `paused` waits for `start()`.
 * Events: `pending`, `scanned`, `confirmed` (detail: session and user), `expired`, `declined`, and `error` (detail:
 * reason and message). `hub` is its LoginHub, which has the tokens.
 */
import { wire } from "./forms.js";
import { LoginHub } from "./hub-client.js";
import { knows, nameCountries, readTexts, showAvatar, text } from "./page.js";

const ASKED = ["door", "purpose", "redirect-uri", "state", "code-challenge", "code-challenge-method"];
const STALE_AFTER = 12000; // ms after its rotation was due, a code is no longer accepted
const PATIENCE = 3000; // ms without a line before the person is told
const LEAVING = 3000; // ms in which WeChat's page leads this window on, if it is this window that it was shown in
const NO_WORDS = "The sign-in service cannot be reached. 无法连接登录服务。"; // they would have come from there

const say = (name, values) => text(`page.sign_in.${name}`, values);

customElements.define("login-hub", class extends HTMLElement {
  #ready = false; #timer; #hint; #shown;
  #deadline; // {end, codeEnd, total} in ms of performance.now(): the wall clock may be wrong

  async connectedCallback() {
    const base = this.getAttribute("endpoint") ?? new URL("/", import.meta.url);
    this.hub ??= new LoginHub({ base, language: this.getAttribute("language") ?? undefined });
    addEventListener("online", this.#online);
    this.#timer = setInterval(() => this.#tick(), 1000);
    try {
      if (!this.shadowRoot) await this.#load();
    } catch (problem) {
      this.attachShadow({ mode: "open" }).textContent = problem.message || NO_WORDS;
      this.#tell("error", { reason: problem.slug, message: this.shadowRoot.textContent });
      return;
    }
    if (!this.#ready) this.#furnish();
    this.#ready = true;
    if (!this.hasAttribute("paused")) this.start();
  }

  disconnectedCallback() {
    removeEventListener("online", this.#online);
    clearInterval(this.#timer);
    this.hub.stop();
  }

  #online = () => {
    if (this.dataset.status === "unavailable") this.start();
  };

  /** On the hub's own page the card is there already. */
  async #load() {
    const { html, css } = await this.hub.call(`/api/card?${new URLSearchParams({ ...this.#asked(), methods: this.getAttribute("methods") ?? "" })}`);
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
    readTexts(root);
    nameCountries(root, root.querySelector("[lang]").lang);
    for (const button of root.querySelectorAll("[data-renew]")) {
      button.addEventListener("click", () => {
        this.#$("status").focus(); // the button goes, and must not take the focus with it
        this.hub.cancel();
        this.start();
      });
    }
    for (const form of root.querySelectorAll("form[data-path]")) {
      wire(form, this.hub, async (body) => {
        const session = await this.hub.signIn(form.dataset.path, body);
        form.reset();
        this.hub.cancel(); // nobody needs the code any more
        this.#finished({ session, user: session.user });
      });
    }
    const tabs = [...root.querySelectorAll("[role=tab]")];
    const choose = (chosen) => {
      for (const tab of tabs) {
        tab.ariaSelected = tab === chosen;
        tab.tabIndex = tab === chosen ? 0 : -1;
        this.#$(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
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
    const waiting = ["pending", "scanned"].includes(status);
    const now = performance.now();
    const total = Math.max(life * 1000, this.dataset.status === status ? this.#deadline?.total ?? 0 : 0);
    this.#deadline = waiting && { end: now + life * 1000, codeEnd: now + (code ?? Infinity) * 1000, total };
    if (!waiting) this.#tellLine({ live: true });
    if (status === "pending") {
      this.#show(status, say("pending"));
      this.#showCode();
      this.#tell(status);
    } else if (status === "scanned") {
      const nickname = user?.nickname || text("page.person.nameless"); // WeChat tells some apps no name
      showAvatar(this.shadowRoot.querySelector(".avatar"), user?.avatar_url);
      this.#$("name").textContent = nickname;
      this.#show(status, say("scanned", { nickname }));
      this.#tell(status, { user });
    } else if (status === "confirmed" && binds) this.#tell(status);
    else if (status === "confirmed") {
      this.#show(status, say("confirmed"));
      // Two pages must not redeem the same attempt: the tokens would go to the one that is being left.
      setTimeout(() => this.#redeem(user), this.hub.attempt.authorize_url ? LEAVING : 0);
    } else if (status === "expired") this.#expire();
    else {
      const key = `page.sign_in.failed.${reason}`;
      const message = text(knows(key) ? key : "page.sign_in.failed.unknown");
      this.#show("failed", message);
      this.#tell(["declined", "reported", "cancelled"].includes(reason) ? "declined" : "error", { reason, message });
    }
    this.#tick();
  }

  #expire() {
    this.#show("expired", say("expired"));
    this.#tell("expired");
  }

  async #redeem(user) {
    try {
      if (this.hasAttribute("redirect-uri")) location.replace(await this.hub.redirectUrl());
      else this.#finished({ session: this.hub.session ?? await this.hub.redeem(), user });
    } catch (problem) {
      this.#fail(problem);
    }
  }

  #finished(detail) {
    this.hub.stop();
    this.#show("confirmed", say("signed_in"));
    this.#tell("confirmed", detail);
  }

  #fail({ status, slug, message }) {
    const words = status === 0 ? say("unreachable") : message || say("failed.unknown");
    this.#show("unavailable", words);
    this.#tell("error", { reason: slug, message: words });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #show(status, words) {
    this.dataset.status = status;
    if (!["pending", "scanned"].includes(status)) this.#deadline = null;
    for (const part of this.shadowRoot.querySelectorAll("[data-when]")) {
      part.hidden = !part.dataset.when.split(" ").includes(status);
    }
    if (this.#$("status").textContent !== words) this.#$("status").textContent = words;
  }

  /** Load the new picture beside the old one and swap them when it can be painted. */
  async #showCode() {
    const { qr_url: url, authorize_url: away } = this.hub.attempt;
    this.#$("window").hidden = !away;
    if (this.#shown === (away ?? url)) return;
    this.#shown = away ?? url;
    if (away) {
      this.#showWeChat(away);
      return;
    }
    const next = this.#$("code").cloneNode();
    next.hidden = false;
    for (let tries = 0; this.#shown === url; tries += 1) {
      try {
        next.src = url;
        await next.decode();
        if (this.#shown === url) this.#$("code").replaceWith(next);
        return;
      } catch {
        if (tries === 2) this.#fail({ status: 0 });
        next.removeAttribute("src");
        await new Promise((again) => setTimeout(again, 1000));
      }
    }
  }

  /** WeChat's own page: by the link in this window, and in a frame where there is one, which leads this window on. */
  #showWeChat(away) {
    this.#$("window").href = away;
    const frame = this.#$("frame");
    if (!frame) return;
    frame.src = `${away.replace(/(#|$)/, "&login_type=jssdk&self_redirect=default$1")}`;
    frame.hidden = false;
  }

  /** Once a second: the ring, the time left, and what the server would say if it could be heard. */
  #tick() {
    if (!this.#deadline) return;
    const { end, codeEnd, total } = this.#deadline;
    const now = performance.now();
    const seconds = Math.max(0, Math.ceil((end - now) / 1000));
    this.#$("ring").style.strokeDashoffset = 100 - 100_000 * seconds / total;
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    this.#$("time-left").textContent = say("time_left", { time });
    this.toggleAttribute("data-stale", now > codeEnd + STALE_AFTER);
    if (now > end + 5000) this.#expire();
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
    if (ended) this.#expire();
  }
});
