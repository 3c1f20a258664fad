/**
 * Following one's own account: devices that come and go, bindings, alerts. Where no socket gets through, what the
 * socket would have told is to be read anew at the pace of the attempts to open one.
 */
import { backOff, openSocket } from "./hub-watch.js";

/**
 * Call *onEvent* with each account event, in order and once; *onRead* when there may be a gap and the state is to be
 * read; *onEnd* when the session is over. *hub* is a LoginHub that is signed in. Returns a function that stops it.
 */
export function followAccount(hub, { onEvent, onRead, onEnd, path = "/api/sessions/stream" }) {
  const attempt = { ws_url: new URL(path, hub.base).href };
  const over = new AbortController();
  const { signal } = over;
  let link, again, prolonging;
  let seq = -1;
  let tries = 0;
  let stale = false; // the server wants another token

  const hello = async () => {
    if (stale) await hub.refresh();
    stale = false;
    return { type: "auth", access_token: await hub.accessToken() };
  };
  const prolong = () => hello().then(link.send).catch(link.check);
  const take = (frame) => {
    if (frame.type === "authenticated") {
      tries = 0;
      if (seq < 0) seq = frame.seq;
      clearTimeout(prolonging);
      prolonging = setTimeout(prolong, frame.expires_in * 850);
    } else if (frame.seq > seq) {
      seq = frame.seq;
      onEvent(frame);
    }
  };
  const drop = () => {
    clearTimeout(again);
    clearTimeout(prolonging);
    link?.close();
  };
  const stop = () => {
    over.abort();
    drop();
  };
  const lost = async (code = 1006, wait = 0) => {
    drop();
    if (code >= 4500 && code !== 4501) return stop();
    stale = code === 4401;
    again = setTimeout(connect, wait * 1000 + backOff(tries++, code > 1006 ? 2000 : undefined));
    try {
      if (code === 4501) await hub.refresh(); // which cannot be, and says so
      await onRead();
    } catch (problem) {
      if (![401, 422].includes(problem.status) || signal.aborted) return;
      stop();
      onEnd();
    }
  };
  function connect() {
    again = null;
    const mine = openSocket({
      attempt, hello, seq: () => seq, live() {}, frame: take,
      lost: (...why) => link === mine && !again && !signal.aborted && lost(...why),
    });
    link = mine;
  }
  const wake = () => {
    if (document.visibilityState === "hidden") return;
    if (again) {
      drop();
      connect();
    } else link.check();
  };
  addEventListener("online", wake, { signal });
  document.addEventListener("visibilitychange", wake, { signal });
  connect();
  return stop;
}
