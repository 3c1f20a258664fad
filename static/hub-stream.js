import { keepOpen, openSocket } from "./hub-watch.js";

/**
 * Follow the account of *hub*: onEvent(event) in order and once; onRead() where there may be a gap (with no socket, at
 * each try); onEnd() when the session is over, onRefused() when its stream is closed for good. Returns what stops it.
 */
export function followAccount(hub, { onEvent, onRead, onEnd, onRefused, path = "/api/sessions/stream" }) {
  const attempt = { ws_url: new URL(path, hub.base).href };
  let prolonging;
  let seq = -1;
  let stale = false; // the server wants another token

  const hello = async () => {
    if (stale) await hub.refresh();
    stale = false;
    return { type: "auth", access_token: await hub.accessToken() };
  };
  const frame = (told) => {
    if (told.type === "authenticated") {
      if (seq < 0) ask().catch(line.check); // what came since the first reading
      seq = Math.max(seq, told.seq);
      clearTimeout(prolonging);
      prolonging = setTimeout(() => hello().then(line.send).catch(line.check), told.expires_in * 850);
    } else if (told.seq > seq) {
      seq = told.seq;
      onEvent(told);
    }
  };
  const ask = async (code) => {
    clearTimeout(prolonging);
    stale = code === 4401;
    if (code === 4501) await hub.refresh(); // which cannot be, and says so
    await onRead();
  };
  const onConnection = ({ ended }) => ended && (hub.session ? onRefused?.() : onEnd());
  const line = keepOpen([["websocket", openSocket]], { attempt, hello, frame, seq: () => seq }, {
    ask, gone: [401, 422], eager: true, onConnection,
  });
  return () => {
    clearTimeout(prolonging);
    line.stop();
  };
}
