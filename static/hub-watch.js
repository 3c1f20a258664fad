/**
 * Watching one sign-in attempt: WebSocket, else server-sent events, else long poll. All three carry the same
 * snapshot, so they can be changed at any time; `seq` orders what they say and an older one is dropped.
 * No `close` event is trusted to come: a silent line is asked, and given up when it does not answer.
 */

const ANSWER_WITHIN = 6000; // ms for a handshake, and for the pong to a ping
const ASK_EVERY = 20000; // ms between two questions to a silent line
const POLL_HOLD = 25; // s a long poll is held by the server
const MOST = 15000; // ms between two tries
const CHANNELS = [["websocket", openSocket], ["events", openEvents], ["poll", openPoll]];

/** Full jitter: anything from zero to the doubled, capped delay, in ms. */
export const backOff = (tries, first = 500) => Math.random() * Math.min(MOST, first * 2 ** tries);

export const pause = (ms) => new Promise((next) => setTimeout(next, ms));

/**
 * Follow *attempt* (the answer of its creation) to its end. Returns {stop, cancel}.
 *
 * read({seq, wait, signal}) gets a snapshot by HTTP, null if nothing is newer; it throws a HubProblem.
 * onSnapshot(snapshot); onConnection({live, channel, ended}): ended, with no final snapshot, means that the
 * attempt cannot be followed any more.
 */
export function watchAttempt(attempt, { read, onSnapshot, onConnection }) {
  const over = new AbortController();
  const { signal } = over;
  let link, again, due;
  let [seq, channel, refusals, tries] = [-1, 0, 0, 0];

  const drop = () => {
    const former = link;
    link = null;
    former?.close();
  };
  const stop = () => {
    over.abort();
    drop();
    clearTimeout(again);
    clearTimeout(due);
  };
  const tell = (live, ended = false) => signal.aborted || onConnection({ live, ended, channel: CHANNELS[channel][0] });
  const end = () => {
    tell(false, true);
    stop();
  };
  const take = (snapshot) => {
    if (signal.aborted || snapshot.seq <= seq) return;
    seq = snapshot.seq;
    expect(snapshot);
    if (!["pending", "scanned"].includes(snapshot.status)) stop();
    onSnapshot(snapshot);
  };

  /** Read the truth by plain HTTP. Resolves to the problem, if there was one. */
  const ask = async () => {
    try {
      const snapshot = await read({ seq });
      if (snapshot) take(snapshot);
      return null;
    } catch (problem) {
      if ([404, 410].includes(problem.status)) end();
      return problem;
    }
  };
  const look = () => {
    link?.check();
    ask();
  };

  /** When the code or the attempt should have ended and nothing was said, look. */
  const expect = ({ expires_in: life, qr_expires_in: code }) => {
    clearTimeout(due);
    due = setTimeout(look, (Math.min(life, code ?? life) + 2) * 1000);
  };
  const connect = () => {
    clearTimeout(again);
    again = null;
    let proven = false;
    const mine = CHANNELS[channel][1]({
      attempt,
      read,
      seq: () => seq,
      frame: (frame) => mine === link && frame.type === "status" && take(frame),
      live: () => {
        if (mine !== link || proven) return;
        proven = true;
        tries = refusals = 0;
        tell(true);
      },
      lost: (code, wait) => mine === link && lost(proven, code, wait),
    });
    link = mine;
  };
  const lost = async (proven, code = 1006, wait = 0) => {
    drop();
    const final = code >= 4500;
    if (final || !proven) {
      const problem = await ask();
      if (link || again || signal.aborted) return;
      if (final) return end();
      wait = Math.max(wait, problem?.retryAfter ?? 0);
      // A channel that fails while plain HTTP works is blocked on the way: step down after the second time.
      if (!problem && ++refusals > 1 && channel < 2) {
        channel += 1;
        refusals = 0;
      }
    }
    tell(false);
    again = setTimeout(connect, wait * 1000 + backOff(tries++, code > 1011 ? 2000 : undefined));
  };
  const wake = ({ type }) => {
    if (document.visibilityState === "hidden") return;
    if (type === "online" && channel > 0) {
      channel = refusals = tries = 0; // another network may let sockets through
      drop();
      connect();
    } else if (again) connect();
    else look();
  };

  addEventListener("online", wake, { signal });
  addEventListener("pageshow", wake, { signal });
  document.addEventListener("visibilitychange", wake, { signal });
  expect(attempt);
  connect();
  return { stop, cancel: () => link?.send?.({ type: "cancel" }) ?? false };
}

/** `login.v1`: alive is what has answered a ping, not what has opened. *hello* makes a first frame. */
export function openSocket({ attempt, seq, hello, frame, live, lost }) {
  const address = new URL(attempt.ws_url);
  address.protocol = address.protocol.replace("http", "ws");
  if (seq() >= 0) address.searchParams.set("seq", seq());
  const socket = new WebSocket(address, "login.v1");
  let asking;
  let silence = setTimeout(lost, ANSWER_WITHIN);
  const send = (body) => {
    if (socket.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(body));
    return true;
  };
  const check = () => {
    silence ??= setTimeout(lost, ANSWER_WITHIN);
    send({ type: "ping" });
  };
  socket.onopen = async () => {
    try {
      if (hello) send(await hello());
      check();
    } catch {
      lost();
    }
  };
  socket.onclose = ({ code, reason }) => lost(code, code === 1012 ? Number(/[\d.]+/.exec(reason)?.[0] ?? 0) : 0);
  socket.onmessage = ({ data }) => {
    clearTimeout(silence);
    clearTimeout(asking);
    silence = null;
    asking = setTimeout(check, ASK_EVERY);
    live();
    frame(JSON.parse(data));
  };
  const close = () => {
    clearTimeout(silence);
    clearTimeout(asking);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  };
  return { send, check, close };
}

/** EventSource hides comments, so a quiet stream is compared with a plain read; a deaf one is left. */
function openEvents({ attempt, seq, read, frame, live, lost }) {
  const source = new EventSource(attempt.events_url);
  const silence = setTimeout(lost, ANSWER_WITHIN);
  const check = async () => {
    try {
      const newest = await read({ seq: seq() });
      if (!newest) return;
      frame(newest);
    } catch { /* no answer at all is no better */ }
    lost();
  };
  const asking = setInterval(check, ASK_EVERY);
  source.onmessage = ({ data }) => {
    clearTimeout(silence);
    live();
    frame(JSON.parse(data));
  };
  source.onerror = () => lost(); // the browser would come back by itself, but all clients at the same pace
  const close = () => {
    clearTimeout(silence);
    clearInterval(asking);
    source.close();
  };
  return { check, close };
}

function openPoll({ seq, read, frame, live, lost }) {
  const stop = new AbortController();
  const run = async () => {
    for (let wait = 0; !stop.signal.aborted; wait = POLL_HOLD) { // the first answer at once: is the way free?
      const began = performance.now();
      const overdue = AbortSignal.timeout(POLL_HOLD * 1000 + ANSWER_WITHIN);
      const newest = await read({ seq: seq(), wait, signal: AbortSignal.any([stop.signal, overdue]) });
      live();
      if (newest) frame(newest);
      // A server that does not hold the poll must not be asked without pause.
      else if (wait && performance.now() - began < 1000) await pause(1000 + backOff(0));
    }
  };
  run().catch(({ retryAfter }) => lost(1006, retryAfter));
  // A held poll on a line that has died says nothing: ask afresh.
  return { check: () => lost(), close: () => stop.abort() };
}
