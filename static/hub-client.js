/**
 * Browser client of the Login Hub: QR sign-in, tokens, sign-out. No dependency, no global state but one mark.
 *
 *   const hub = new LoginHub();
 *   await hub.start();                                  // hub.attempt.qr_url is the picture to show
 *   hub.watch((snapshot) => { … }, ({ live, channel, ended }) => { … });
 *   await hub.redeem({ tokenDelivery: "cookie" });      // once the status is "confirmed"
 *
 * Secrets stay in memory: the PKCE verifier, the access token, and a refresh token delivered in the body. Only where
 * the sign-in leads over WeChat's own page, in this very window, the verifier waits in sessionStorage meanwhile.
 */
import { AttemptWatch, backOff } from "./hub-watch.js";

const MARK = "hub.signed-in"; // localStorage: says only that a refresh cookie should exist
const OVER = [401, 422]; // a refresh token that is not valid, or no cookie that holds one
const REPLY_WITHIN = 15000; // ms
const TRIES = 5;
const VERIFIER = "hub.verifier."; // sessionStorage: a tab's own, and gone with it

/** A refusal (RFC 9457): `status` 0 when there was no answer at all; `message` is for the person. */
export class HubProblem extends Error {
  constructor(status, body, retryAfter) {
    super(body?.message ?? "");
    this.name = "HubProblem";
    this.status = status;
    this.slug = (body?.problem ?? body?.type)?.split("/").pop() ?? "unreachable"; // an error frame has a type of its own
    this.retryAfter = body?.retry_after ?? retryAfter;
    this.errors = body?.errors ?? [];
  }

  /** It may work when tried again. */
  get passing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

export class LoginHub {
  #base; #options = {}; #verifier = null; #resumed = false; #watch = null; #listeners = [];
  #refreshToken = null; #refreshing = null; #heardAt = -1; #good = 0; #tabs = null;

  attempt = null;
  /** The token reply while signed in, else null. */
  session = null;
  /** Called when another tab signs out. */
  onSignedOut = () => {};

  /** *base* is the hub's address; by default the page's own. */
  constructor({ base = document.baseURI } = {}) {
    this.#base = base;
    if (!("BroadcastChannel" in globalThis)) return;
    this.#tabs = new BroadcastChannel("hub.session");
    this.#tabs.onmessage = ({ data }) => {
      if (this.#refreshToken) return; // a session of this tab's own
      this.#take(data);
      this.#heardAt = performance.now();
      if (!data) this.onSignedOut();
    };
  }

  /** Whether this browser has signed in before, so that `refresh()` is worth a try. */
  get remembered() {
    try {
      return localStorage.getItem(MARK) !== null;
    } catch {
      return false;
    }
  }

  /**
   * Begin an attempt and return it. It is bound to this browser by PKCE, or by cookie where the page has no
   * `crypto.subtle`. With *redirectUri* it is bound by the caller's *codeChallenge*, and `redirectUrl()` ends it.
   */
  async start(options = {}) {
    this.#options = options;
    const { door, redirectUri, state, codeChallenge, codeChallengeMethod, purpose } = options;
    const body = { door, redirect_uri: redirectUri, state, purpose };
    this.#verifier = null;
    this.#resumed = false;
    if (codeChallenge) {
      Object.assign(body, { code_challenge: codeChallenge, code_challenge_method: codeChallengeMethod ?? "S256" });
    } else if (!redirectUri && globalThis.crypto?.subtle) {
      this.#verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(this.#verifier));
      Object.assign(body, { code_challenge: base64url(digest), code_challenge_method: "S256" });
    }
    const path = "/api/auth/wechat/qr-code";
    const attempt = await (purpose === "bind" ? this.request(path, { body }) : this.#call(path, { body }));
    for (const name of ["qr_url", "ws_url", "events_url", "status_url"]) {
      if (attempt[name]) attempt[name] = this.#here(attempt[name]);
    }
    this.attempt = attempt;
    if (attempt.authorize_url && purpose !== "bind") this.#leaveVerifier();
    return attempt;
  }

  /**
   * Take up the attempt that WeChat's own page has led back from, to `redeem()` it. False where this window has not
   * begun it, unless it is bound *byCookie*.
   */
  resume(sessionId, { byCookie = false } = {}) {
    this.#verifier = this.#takeVerifier(sessionId);
    this.#resumed = Boolean(this.#verifier || byCookie);
    this.attempt = this.#resumed ? { session_id: sessionId } : null;
    return this.#resumed;
  }

  #takeVerifier(sessionId) {
    try {
      const verifier = sessionStorage.getItem(VERIFIER + sessionId);
      sessionStorage.removeItem(VERIFIER + sessionId);
      return verifier;
    } catch {
      return null; // storage is closed to this page
    }
  }

  #leaveVerifier() {
    try {
      if (this.#verifier) sessionStorage.setItem(VERIFIER + this.attempt.session_id, this.#verifier);
    } catch { /* storage is closed to this page: the window that WeChat leads back to cannot go on by itself */ }
  }

  /** Follow the attempt: *onSnapshot* now and at each change, *onConnection* when the line comes or goes. */
  watch(onSnapshot, onConnection = () => {}) {
    this.#watch?.stop();
    this.#listeners = [onSnapshot, onConnection];
    const { attempt } = this;
    onSnapshot({ type: "status", seq: -1, status: "pending", reason: null, user_info: null, ...attempt });
    this.#watch = new AttemptWatch(attempt, {
      read: (options) => this.#status(attempt, options),
      onSnapshot: (snapshot) => {
        const { qr_code: code } = snapshot;
        if (code) {
          attempt.qr_content = attempt.qr_content?.replace(attempt.qr_code, code);
          Object.assign(attempt, { qr_code: code, qr_url: this.#here(snapshot.qr_url) });
        }
        onSnapshot(snapshot);
      },
      onConnection,
    });
    return () => this.#watch.stop();
  }

  /** Follow a new attempt in place of one that has ended: on the same socket if there is one. */
  async renew() {
    // A frame tells no more than the code, so an attempt that consists of more (a ticket, an address) starts afresh.
    const { attempt } = this;
    const { qr_content: content, qr_code: code, authorize_url: away } = attempt ?? {};
    if (this.#watch && (away || content?.includes(code))) {
      delete attempt.authorize_url; // it belongs to the former attempt
      const outcome = await this.#watch.renew();
      if (outcome === true) {
        if (away) await this.#findWayOut(attempt);
        return;
      }
      const problem = outcome && new HubProblem(outcome.status ?? 400, outcome);
      if (problem && problem.slug !== "wrong-state") throw problem; // one that is alive is simply left
    }
    await this.start(this.#options);
    this.watch(...this.#listeners);
  }

  /** The address of WeChat's page for a renewed attempt: no frame carries it, for it is this browser's alone. */
  async #findWayOut(attempt) {
    const snapshot = await insist(() => this.#status(attempt));
    attempt.authorize_url = snapshot.authorize_url;
    this.#leaveVerifier();
    this.#listeners[0](snapshot);
  }

  /** Cancel the attempt; false where the present channel cannot carry that. */
  cancel() {
    return this.#watch?.cancel() ?? false;
  }

  /** Where a confirmed attempt that has a `redirectUri` leads, with its code. */
  async redirectUrl() {
    const { redirect_url: url } = await insist(() => this.#status(this.attempt));
    if (!url) throw new HubProblem(404); // not this browser's attempt
    return url;
  }

  /** Swap the confirmed attempt for tokens, once. With *tokenDelivery* "cookie" no script sees the refresh token. */
  async redeem({ tokenDelivery = "body", deviceName, deviceType, deviceId } = {}) {
    const body = {
      session_id: this.attempt.session_id,
      code_verifier: this.#verifier ?? undefined,
      token_delivery: tokenDelivery,
      device_name: deviceName,
      device_type: deviceType,
      device_id: deviceId,
    };
    return insist(async (again) => {
      try {
        const session = this.#keep(await this.#call("/api/auth/wechat/token", { body }));
        this.#takeVerifier(body.session_id);
        return session;
      } catch (problem) {
        // The answer to an earlier try was lost, but its cookie may have come.
        const may = again || this.#resumed;
        if (may && problem.slug === "already-redeemed" && tokenDelivery === "cookie") return this.refresh();
        throw problem;
      }
    });
  }

  /** A new token pair; one call at a time over all tabs. Throws a HubProblem of 401 or 422 when the session is over. */
  refresh() {
    this.#refreshing ??= this.#rotate().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Sign in by a code or a password, at *path* with *body*. No script sees the refresh token. */
  async signIn(path, body) {
    if (this.attempt) this.#takeVerifier(this.attempt.session_id); // of a code that nobody needs any more
    return this.#keep(await this.#call(path, { body: { ...body, token_delivery: "cookie" } }));
  }

  /** Send a one-time code to the `phone` or `email` of *body*. Resolves to the seconds until another may be sent. */
  async sendCode(body) {
    const path = body.email ? "/api/send-verification-code" : "/api/send-code";
    return (await this.#call(path, { body })).resend_in;
  }

  /** Prove again who is there, by `code` and `channel` or by `password`: grave changes want that. */
  async reauth(body) {
    this.#take({ ...this.session, ...await this.request("/api/reauth", { body }) });
    if (!this.#refreshToken) this.#tabs?.postMessage(this.session);
  }

  /** An access token with some life left. */
  async accessToken() {
    if (!this.session || performance.now() > this.#good) await this.refresh();
    return this.session.access_token;
  }

  /** The account's profile. */
  profile() {
    return this.request("/api/user/profile", { method: "GET" });
  }

  /** End this session, here and in the browser's other tabs. */
  async signOut() {
    try {
      await this.request("/api/logout", { body: {} });
    } catch (problem) {
      if (!OVER.includes(problem.status)) throw problem; // else it was over already
    }
    this.forget();
  }

  /** Let go of a session that has ended, here and in the browser's other tabs. */
  forget() {
    this.#forget();
    this.#tabs?.postMessage(null);
  }

  #rotate() {
    const asked = performance.now();
    const rotate = async () => {
      if (!this.#refreshToken && this.session && this.#heardAt > asked) return this.session;
      const body = this.#refreshToken ? { refresh_token: this.#refreshToken } : {};
      try {
        return this.#keep(await this.#call("/api/token/refresh", { body }));
      } catch (problem) {
        if (OVER.includes(problem.status)) this.#forget();
        throw problem;
      }
    };
    return navigator.locks ? navigator.locks.request("hub.refresh", rotate) : rotate();
  }

  #keep(session) {
    const { refresh_token: token } = session;
    this.#take(session);
    this.#refreshToken = token ?? null;
    if (!token) {
      remember(true);
      this.#tabs?.postMessage(session);
    }
    return session;
  }

  #take(session) {
    this.session = session;
    this.#good = performance.now() + (session?.expires_in ?? 0) * 800;
  }

  #forget() {
    this.session = this.#refreshToken = null;
    remember(false);
  }

  async #status(attempt, { seq, wait, signal } = {}) {
    const address = new URL(attempt.status_url);
    if (seq >= 0) address.searchParams.set("seq", seq);
    if (wait) address.searchParams.set("wait", wait);
    return this.#call(address, { method: "GET", signal });
  }

  /** One request with the access token, which is renewed where need be. Resolves to `data`, throws a HubProblem. */
  async request(path, options) {
    if (!this.session) await this.refresh();
    const send = () => this.#call(path, { ...options, token: this.session.access_token });
    try {
      return await send();
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      await this.refresh();
      return send();
    }
  }

  /** The hub may be known by more names than its own; only the one it was reached by is sure to be let through. */
  #here(address) {
    const { pathname, search } = new URL(address, this.#base);
    return new URL(pathname + search, this.#base).href;
  }

  /** One request; resolves to the envelope's `data`, or null when nothing is newer (304). */
  async #call(path, { method = "POST", body, token, signal }) {
    const headers = { Accept: "application/json" };
    const { lang } = document.documentElement;
    if (lang) headers["Accept-Language"] = lang;
    if (body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    const stop = new AbortController();
    const overdue = signal ? 0 : setTimeout(() => stop.abort(), REPLY_WITHIN);
    let response, reply;
    try {
      response = await fetch(new URL(path, this.#base), {
        method, headers, body: body && JSON.stringify(body), signal: signal ?? stop.signal, cache: "no-store",
      });
      if (response.status === 304) return null;
      reply = await response.json();
    } catch {
      throw new HubProblem(response && !response.ok ? response.status : 0);
    } finally {
      clearTimeout(overdue);
    }
    if (!response.ok) throw new HubProblem(response.status, reply, Number(response.headers.get("Retry-After")) || 0);
    return reply.data;
  }
}

/** Do *work(tries)*, again with jitter while it fails in a passing way. */
async function insist(work) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work(tries);
    } catch (problem) {
      if (!problem.passing || tries + 1 === TRIES) throw problem;
      await new Promise((next) => setTimeout(next, (problem.retryAfter ?? 0) * 1000 + backOff(tries)));
    }
  }
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

function remember(signedIn) {
  try {
    if (signedIn) localStorage.setItem(MARK, "1");
    else localStorage.removeItem(MARK);
  } catch { /* storage is closed to this page: it will not be remembered */ }
}
