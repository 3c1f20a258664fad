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
 * Follow *attempt* to its end. read({seq, wait, signal}) gets a snapshot by HTTP, null if nothing is newer. In
 * onConnection({live, channel, ended}) `ended` means that it cannot be followed any more. Returns {stop, cancel}.
 */
export function watchAttempt(attempt, { read, onSnapshot, onConnection }) {
  const over = new AbortController();
  const { signal } = over;
  let link, again;
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
  };
  const tell = (line) => signal.aborted || onConnection({ ...line, channel: CHANNELS[channel][0] });
  const end = () => {
    tell({ ended: true });
    stop();
  };
  const take = (snapshot) => {
    if (signal.aborted || snapshot.seq <= seq) return;
    seq = snapshot.seq;
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
  const connect = () => {
    clearTimeout(again);
    again = null;
    let proven = false;
    const mine = CHANNELS[channel][1]({
      attempt,
      read,
      seq: () => seq,
      frame: (frame) => mine === link && frame.type === "status" && take(frame),
      live() {
        if (mine !== link || proven) return;
        proven = true;
        tries = refusals = 0;
        tell({ live: true });
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
    tell({ live: false });
    again = setTimeout(connect, wait * 1000 + backOff(tries++, code > 1011 ? 2000 : undefined));
  };
  const wake = ({ type }) => {
    if (document.hidden) return;
    if (type === "online" && channel) {
      channel = refusals = tries = 0; // another network may let sockets through
      drop();
      connect();
    } else if (again) connect();
    else {
      link?.check();
      ask();
    }
  };

  for (const type of ["online", "pageshow", "visibilitychange"]) addEventListener(type, wake, { signal });
  connect();
  return { stop, cancel: () => link?.send?.({ type: "cancel" }) ?? false };
}

/** `login.v1`: alive is what has answered a ping, not what has opened. *hello* makes a first frame. */
export function openSocket({ attempt, seq, hello, frame, live, lost }) {
  const address = new URL(attempt.ws_url);
  address.protocol = address.protocol.replace("http", "ws");
  if (seq() >= 0) address.searchParams.set("seq", seq());
  const socket = new WebSocket(address, "login.v1");
  let timer;
  const next = (work, ms) => {
    clearTimeout(timer);
    timer = setTimeout(work, ms);
  };
  const send = (body) => {
    if (socket.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(body));
    return true;
  };
  const check = () => {
    next(lost, ANSWER_WITHIN);
    send({ type: "ping" });
  };
  check();
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
    next(check, ASK_EVERY);
    live();
    frame(JSON.parse(data));
  };
  const close = () => {
    clearTimeout(timer);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  };
  return { send, check, close };
}

/** EventSource hides comments, so a quiet stream is compared with a plain read; a deaf one is left. */
function openEvents({ attempt, seq, read, frame, live, lost }) {
  const source = new EventSource(attempt.events_url);
  const silence = setTimeout(lost, ANSWER_WITHIN);
  const check = () => read({ seq: seq() }).then((newest) => {
    if (!newest) return;
    frame(newest);
    lost();
  }, () => lost());
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
