/**
 * Lines to the hub: WebSocket, else server-sent events, else long poll, all with the same snapshots, ordered by `seq`.
 * A `close` event may never come: a silent line is asked, and given up if need be.
 */
const ANSWER_WITHIN = 6000; // ms for a handshake, and for the pong to a ping
const ASK_EVERY = 20000; // ms between two questions to a silent line
const POLL_HOLD = 25; // s a long poll is held by the server
const MOST = 8000; // ms between two tries
const CHANNELS = [["websocket", openSocket], ["events", openEvents], ["poll", openPoll]];

/** Full jitter, in ms. */
export const backOff = (tries, first = 500) => Math.random() * Math.min(MOST, first * 2 ** tries);

export const pause = (ms) => new Promise((next) => setTimeout(next, ms));

/**
 * Keep a line open until `stop()`, by the first of *channels* that gets through. ask(code) reads the truth by plain HTTP,
 * where *eager* at each loss, else in doubt; a problem with a status of *gone* ends the line.
 */
export function keepOpen(channels, parts, { ask, gone, eager, onConnection }) {
  const over = new AbortController();
  const { signal } = over;
  let link, again;
  let [channel, refusals, tries] = [0, 0, 0];

  const drop = () => {
    const former = link;
    clearTimeout(again);
    again = link = null;
    former?.close();
  };
  const stop = () => {
    over.abort();
    drop();
  };
  const tell = (line) => signal.aborted || onConnection({ ...line, channel: channels[channel][0] });
  const end = () => {
    tell({ ended: true });
    stop();
  };
  const look = (code) => ask(code).then(() => null, (problem) => {
    if (gone.includes(problem.status)) end();
    return problem;
  });
  const connect = () => {
    drop();
    let proven = false;
    const mine = channels[channel][1]({
      ...parts,
      frame: (frame) => mine === link && parts.frame(frame),
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
    const final = code >= 4500 && code !== 4501; // which the truth decides: another session may have begun
    if (final || eager || !proven) {
      const problem = await look(code);
      if (link || again || signal.aborted) return;
      if (final) return end();
      wait = Math.max(wait, problem?.retryAfter ?? 0);
      // A channel that fails while plain HTTP works is blocked: step down after the second time.
      if (!proven && !problem && ++refusals > 1 && channels[channel + 1]) {
        channel += 1;
        refusals = 0;
      }
    }
    tell({ live: false });
    again = setTimeout(connect, wait * 1000 + backOff(tries++, code > 1011 ? 2000 : undefined));
  };
  const wake = ({ type }) => {
    if (document.hidden) return;
    const elsewhere = type === "online" && channel; // it may let sockets through
    if (elsewhere) channel = refusals = tries = 0;
    if (again || elsewhere) return connect();
    link?.check();
    if (!eager) look();
  };

  for (const type of ["online", "pageshow", "visibilitychange"]) addEventListener(type, wake, { signal });
  connect();
  return { stop, signal, send: (frame) => link?.send?.(frame) ?? false, check: () => link?.check() };
}

/** Follow *attempt* to its end. read({seq, wait, signal}) gets a snapshot by HTTP, null if none is newer. */
export function watchAttempt(attempt, { read, onSnapshot, onConnection }) {
  let seq = -1;
  const frame = (snapshot) => {
    if (snapshot?.type !== "status" || snapshot.seq <= seq || line.signal.aborted) return;
    seq = snapshot.seq;
    if (!["pending", "scanned"].includes(snapshot.status)) line.stop();
    onSnapshot(snapshot);
  };
  const ask = () => read({ seq }).then(frame);
  const line = keepOpen(CHANNELS, { attempt, read, frame, seq: () => seq }, { ask, gone: [404, 410], onConnection });
  return line;
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
      // A server that does not hold the poll is not asked without pause.
      else if (wait && performance.now() - began < 1000) await pause(1000 + backOff(0));
    }
  };
  run().catch(({ retryAfter }) => lost(1006, retryAfter));
  // A held poll on a line that has died says nothing: ask afresh.
  return { check: () => lost(), close: () => stop.abort() };
}
