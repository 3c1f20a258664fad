/**
 * Browser client of the Login Hub: `start()`, show `attempt.qr_url`, `watch()`, and once confirmed `redeem()`.
 * Secrets stay in memory: the PKCE verifier, the access token, and on another site's page the refresh token, which
 * the hub's own pages have in a cookie that no script sees.
 */
import { backOff, pause, watchAttempt } from "./hub-watch.js";

const MARK = "hub_signed_in"; // a cookie that says only that a refresh cookie should exist
const REPLY_WITHIN = 15000; // ms
const TRIES = 5;
const OVER = [401, 422]; // a refresh token that is not valid, or no cookie that holds one
const PASSING = [0, 429, 502, 503, 504];

/** A refusal (RFC 9457), whose `message` is for the person; `status` 0 is no answer at all. */
export class HubProblem extends Error {
  constructor(status, { message, type, retry_after: wait = 0, errors = [] } = {}) {
    super(message);
    Object.assign(this, { status, slug: type?.split("/").pop() ?? "unreachable", retryAfter: wait, errors });
  }
}

export class LoginHub {
  #language; #own; #verifier; #watch; #refreshToken; #refreshing; #good = 0;
  #tabs = new BroadcastChannel("hub.session");

  attempt = null;
  session = null; // the token reply, while signed in
  onSignedOut = () => {}; // called when another tab signs out

  /** *base* is the hub's address; *language* that of its messages. */
  constructor({ base = document.baseURI, language = document.documentElement.lang || navigator.language } = {}) {
    this.base = base;
    this.#language = language;
    this.#own = new URL(base).origin === location.origin;
    this.#tabs.onmessage = ({ data }) => {
      if (this.#refreshToken) return; // a session of this tab's own
      this.#take(data);
      if (!data) this.onSignedOut();
    };
  }

  /** Whether this browser has signed in before, so that `refresh()` is worth a try. */
  get remembered() {
    return document.cookie.includes(MARK);
  }

  /**
   * Begin an attempt; *asked* are the members of the call. PKCE binds it to this browser; a cookie where the page has no
   * `crypto.subtle`, or is to be left for WeChat's; the caller's own `code_challenge` where there is a `redirect_uri`.
   */
  async start(asked = {}) {
    this.stop();
    const body = { ...asked };
    this.#verifier = undefined;
    if (!body.redirect_uri && body.door !== "open_platform" && globalThis.crypto?.subtle) {
      this.#verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(this.#verifier));
      body.code_challenge = base64url(digest);
    }
    const path = "/api/auth/wechat/qr-code";
    const attempt = await (body.purpose === "bind" ? this.request(path, { body }) : this.call(path, { body }));
    for (const name of ["qr_url", "ws_url", "events_url", "status_url"]) attempt[name] &&= this.#here(attempt[name]);
    return this.attempt = attempt;
  }

  /** Follow the attempt: onSnapshot(snapshot) now and at each change, onConnection({live, channel, ended}). */
  watch(onSnapshot, onConnection = () => {}) {
    const { attempt } = this;
    onSnapshot({ status: "pending", ...attempt });
    this.#watch = watchAttempt(attempt, {
      read: (options) => this.#status(options, attempt),
      onSnapshot: (snapshot) => {
        const { qr_code: code, qr_url: url } = snapshot;
        if (code) {
          attempt.qr_content = attempt.qr_content?.replace(attempt.qr_code, code);
          Object.assign(attempt, { qr_code: code, qr_url: url && this.#here(url) });
        }
        onSnapshot(snapshot);
      },
      onConnection,
    });
  }

  stop() {
    this.#watch?.stop();
  }

  /** Cancel the attempt; false where the present channel cannot carry that. */
  cancel() {
    return this.#watch?.send({ type: "cancel" }) ?? false;
  }

  /** Where a confirmed attempt with a `redirect_uri` leads. */
  async redirectUrl() {
    const { redirect_url: url } = await insist(() => this.#status());
    if (!url) throw new HubProblem(404); // not this browser's attempt
    return url;
  }

  /** Swap the confirmed attempt for tokens, once; *device* has `device_name` and the like. */
  redeem(device) {
    const body = { ...device, session_id: this.attempt.session_id, code_verifier: this.#verifier };
    return insist(() => this.signIn("/api/auth/wechat/token", body).catch((problem) => {
      // By another tab, or by a try whose answer was lost: the cookie may have come.
      if (problem.slug === "already-redeemed" && this.#own) return this.refresh();
      throw problem;
    }));
  }

  /** Sign in by a code or a password, at *path* with *body*. */
  async signIn(path, body) {
    return this.#keep(await this.call(path, { body: { ...body, token_delivery: this.#own ? "cookie" : "body" } }));
  }

  /** A new token pair; one call at a time over all tabs. A problem of 401 or 422: the session is over. */
  refresh() {
    const former = this.session;
    const rotate = async () => {
      if (this.session && this.session !== former) return this.session; // another tab was quicker
      try {
        return this.#keep(await this.call("/api/token/refresh", { body: { refresh_token: this.#refreshToken } }));
      } catch (problem) {
        if (OVER.includes(problem.status)) this.#forget();
        throw problem;
      }
    };
    this.#refreshing ??= (navigator.locks?.request("hub.refresh", rotate) ?? rotate()).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Send a one-time code to a `phone` or `email`. Resolves to the seconds until another may be sent. */
  async sendCode(body) {
    return (await this.call(body.email ? "/api/send-verification-code" : "/api/send-code", { body })).resend_in;
  }

  /** Prove again who is there: grave changes want that. */
  async reauth(body) {
    return this.#keep({ ...this.session, ...await this.request("/api/reauth", { body }) });
  }

  /** An access token with some life left. */
  async accessToken() {
    if (!this.session || performance.now() > this.#good) await this.refresh();
    return this.session.access_token;
  }

  profile() {
    return this.request("/api/user/profile");
  }

  async signOut() {
    await this.request("/api/logout", { body: {} }).catch((problem) => {
      if (!OVER.includes(problem.status)) throw problem; // else it was over already
    });
    this.forget();
  }

  /** Let go of a session that has ended, in other tabs too. */
  forget() {
    this.#forget();
    this.#tabs.postMessage(null);
  }

  #forget() {
    this.session = this.#refreshToken = null;
    document.cookie = `${MARK}=;path=/;max-age=0`;
  }

  #keep(session) {
    this.#take(session);
    this.#refreshToken = session.refresh_token;
    if (this.#own) {
      document.cookie = `${MARK}=1;path=/;max-age=31536000;samesite=lax`;
      this.#tabs.postMessage(session);
    }
    return session;
  }

  #take(session) {
    this.session = session;
    this.#good = performance.now() + (session?.expires_in ?? 0) * 800;
  }

  #status({ seq = -1, wait, signal } = {}, attempt = this.attempt) {
    const address = new URL(attempt.status_url);
    if (seq >= 0) address.searchParams.set("seq", seq);
    if (wait) address.searchParams.set("wait", wait);
    return this.call(address, { signal });
  }

  /** Of the hub's names only the one it was reached by is sure to be let through. */
  #here(address) {
    const { pathname, search } = new URL(address);
    return new URL(pathname + search, this.base).href;
  }

  /** `call` with the access token, which is renewed where need be. */
  async request(path, options) {
    const send = async () => this.call(path, { ...options, token: await this.accessToken() });
    try {
      return await send();
    } catch (problem) {
      if (problem.status !== 401 || !this.session) throw problem;
      await this.refresh();
      return send();
    }
  }

  /** One request; resolves to its `data`, or null when nothing is newer (304). Throws a HubProblem. */
  async call(path, { body, method = body ? "POST" : "GET", token, signal = AbortSignal.timeout(REPLY_WITHIN) } = {}) {
    const headers = { "Accept-Language": this.#language };
    if (body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    const options = { method, headers, body: JSON.stringify(body), signal, cache: "no-store" };
    let response, reply;
    try {
      response = await fetch(new URL(path, this.base), options);
      if (response.status === 304) return null;
      reply = await response.json();
    } catch {
      throw new HubProblem(response?.ok === false ? response.status : 0);
    }
    if (!response.ok) throw new HubProblem(response.status, reply);
    return reply.data;
  }
}

/** Do *work*, again with jitter while it fails in a passing way. */
async function insist(work) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (problem) {
      if (!PASSING.includes(problem.status) || tries === TRIES) throw problem;
      await pause(problem.retryAfter * 1000 + backOff(tries));
    }
  }
}

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
