/**
 * Following one's own account: devices that come and go, bindings, alerts. Where no socket gets through, what the
 * socket would have told is to be read anew at the pace of the attempts to open one.
 */
import { backOff, openSocket } from "./hub-watch.js";

/**
 * Call *onEvent* with each account event, in order and once; *onRead* when there may be a gap and the state is to be
 * read; *onEnd* when the session is over. *hub* is a LoginHub that is signed in. Returns a function that stops it.
 */
export function followAccount(hub, { onEvent, onRead, onEnd, base = document.baseURI }) {
  const attempt = { ws_url: new URL("/api/sessions/stream", base).href };
  let link, again, prolonging;
  let seq = -1;
  let tries = 0;
  let done = false;
  let stale = false; // the server wants another token

  const hello = async () => {
    if (stale) await hub.refresh();
    stale = false;
    return { type: "auth", access_token: await hub.accessToken() };
  };
  const prolong = async () => link.send(await hello());
  const take = (frame) => {
    if (frame.type === "authenticated") {
      tries = 0;
      if (seq < 0) seq = frame.seq;
      clearTimeout(prolonging);
      prolonging = setTimeout(() => prolong().catch(() => link.check()), frame.expires_in * 850);
    } else if (frame.seq > seq) {
      seq = frame.seq;
      onEvent(frame);
    }
  };
  const stop = () => {
    done = true;
    clearTimeout(again);
    clearTimeout(prolonging);
    link?.close();
    removeEventListener("online", wake);
    document.removeEventListener("visibilitychange", wake);
  };
  const lost = async (code = 1006, wait = 0) => {
    if (done || again) return;
    link.close();
    clearTimeout(prolonging);
    if (code >= 4500 && code !== 4501) return stop();
    stale = code === 4401;
    again = setTimeout(connect, wait * 1000 + backOff(tries++, code > 1006 ? 2000 : undefined));
    try {
      if (code === 4501) await hub.refresh(); // which cannot be, and says so
      await onRead();
    } catch (problem) {
      if (![401, 422].includes(problem.status) || done) return;
      stop();
      onEnd();
    }
  };
  function connect() {
    again = null;
    const mine = openSocket({
      attempt, hello, seq: () => seq, live() {}, snapshot() {}, problem: take,
      lost: (...why) => link === mine && lost(...why),
    });
    link = mine;
    mine.begin();
  }
  function wake() {
    if (document.visibilityState === "hidden") return;
    if (again) {
      clearTimeout(again);
      connect();
    } else link.check();
  }
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", wake);
  connect();
  return stop;
}
