/**
 * Following one's own account: devices that come and go, bindings, alerts. Where no socket gets through, what the
 * socket would have told is to be read anew at the pace of the attempts to open one.
 */
import { backOff, openSocket } from "./hub-watch.js";

/**
 * Call *onEvent* with each account event, in order and once; *onRead* when there may be a gap and the state is to be
 * read; *onEnd* when the session of *hub* (a LoginHub) is over. Returns a function that stops it.
 */
export function followAccount(hub, { onEvent, onRead, onEnd, path = "/api/sessions/stream" }) {
  const attempt = { ws_url: new URL(path, hub.base).href };
  const over = new AbortController();
  const { signal } = over;
  let link, again, prolonging;
  let [seq, tries] = [-1, 0];
  let stale = false; // the server wants another token

  const hello = async () => {
    if (stale) await hub.refresh();
    stale = false;
    return { type: "auth", access_token: await hub.accessToken() };
  };
  const frame = (told) => {
    if (told.type === "authenticated") {
      tries = 0;
      if (seq < 0) seq = told.seq;
      clearTimeout(prolonging);
      prolonging = setTimeout(() => hello().then(link.send).catch(link.check), told.expires_in * 850);
    } else if (told.seq > seq) {
      seq = told.seq;
      onEvent(told);
    }
  };
  const drop = () => {
    clearTimeout(again);
    clearTimeout(prolonging);
    link?.close();
    again = link = null;
  };
  const stop = () => {
    over.abort();
    drop();
  };
  const connect = () => {
    drop();
    const lost = (...why) => mine === link && retry(...why);
    const mine = openSocket({ attempt, hello, seq: () => seq, live() {}, frame, lost });
    link = mine;
  };
  const retry = async (code = 1006, wait = 0) => {
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
  const wake = () => {
    if (document.hidden) return;
    if (again) connect();
    else link?.check();
  };
  for (const type of ["online", "visibilitychange"]) addEventListener(type, wake, { signal });
  connect();
  return stop;
}
