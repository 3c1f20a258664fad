/**
 * Watching one sign-in attempt: WebSocket, else server-sent events, else long poll. All three carry the same
 * snapshot, so they can be changed at any time; `seq` orders what they say and an older one is dropped.
 * No `close` event is trusted to come: a silent line is asked, and given up when it does not answer.
 */

const ANSWER_WITHIN = 6000; // ms for a handshake, and for the pong to a ping
const ASK_EVERY = 20000; // ms between two questions to a silent line
const POLL_HOLD = 25; // s a long poll is held by the server
const BACK_OFF = { first: 500, most: 15000 }; // ms, doubled each time
const CHANNELS = ["websocket", "events", "poll"];

/** Full jitter: anything from zero to the doubled, capped delay, in ms. */
export function backOff(tries, first = BACK_OFF.first) {
  return Math.random() * Math.min(BACK_OFF.most, first * 2 ** tries);
}

const isFinal = (status) => !["pending", "scanned"].includes(status);

/** Follow *attempt* (the answer of its creation) until `stop()`, and across its renewals. */
export class AttemptWatch {
  #attempt; #read; #onSnapshot; #onConnection;
  #seq = -1; #status = "pending";
  #channel = 0; #refusals = 0; #tries = 0;
  #link = null; #again = null; #due = null; #renewal = null; #done = false;

  /**
   * read({seq, wait, signal}) gets a snapshot by HTTP, null if nothing is newer; it throws a HubProblem.
   * onSnapshot(snapshot); onConnection({live, channel, ended}): ended, with no final snapshot, means that the
   * attempt cannot be followed any more.
   */
  constructor(attempt, { read, onSnapshot, onConnection }) {
    this.#attempt = attempt;
    this.#read = read;
    this.#onSnapshot = onSnapshot;
    this.#onConnection = onConnection;
    addEventListener("online", this.#wake);
    addEventListener("pageshow", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#expect(attempt);
    this.#connect();
  }

  stop() {
    this.#done = true;
    removeEventListener("online", this.#wake);
    removeEventListener("pageshow", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#again);
    clearTimeout(this.#due);
    this.#drop();
    this.#renewal?.(null);
  }

  /** Cancel the attempt; false where the present channel cannot carry that. */
  cancel() {
    return this.#link?.send?.({ type: "cancel" }) ?? false;
  }

  /** Ask for a successor on the same socket. Resolves to true, to null if that cannot be had, or to a problem body. */
  renew() {
    if (!this.#link?.send?.({ type: "refresh" })) return Promise.resolve(null);
    return new Promise((resolve) => {
      const overdue = setTimeout(() => this.#renewal?.(null), ANSWER_WITHIN);
      this.#renewal = (outcome) => {
        clearTimeout(overdue);
        this.#renewal = null;
        resolve(outcome);
      };
    });
  }

  #connect() {
    clearTimeout(this.#again);
    this.#again = null;
    const open = [openSocket, openEvents, openPoll][this.#channel];
    const link = open({
      attempt: this.#attempt,
      seq: () => this.#seq,
      read: this.#read,
      snapshot: (snapshot) => this.#link === link && this.#take(snapshot),
      problem: (body) => this.#link === link && this.#renewal?.(body),
      live: () => {
        if (this.#link !== link || link.proven) return;
        link.proven = true;
        this.#tries = this.#refusals = 0;
        this.#tell(true);
      },
      lost: (code, wait) => this.#link === link && this.#lost(link, code, wait),
    });
    this.#link = link;
    link.begin();
  }

  async #lost(link, code = 1006, wait = 0) {
    this.#drop();
    this.#renewal?.(null);
    if (this.#done) return;
    if (isFinal(this.#status) || (code >= 4500 && code <= 4999)) return this.#end();
    if (!link.proven) {
      // A channel that fails while plain HTTP works is blocked on the way: step down after the second time.
      const problem = await this.#ask();
      if (this.#done || this.#link || this.#again) return;
      if (isFinal(this.#status)) return this.#end();
      if (problem) wait = Math.max(wait, problem.retryAfter ?? 0);
      else if (++this.#refusals >= 2 && this.#channel < CHANNELS.length - 1) {
        this.#channel += 1;
        this.#refusals = 0;
      }
    }
    this.#tell(false);
    const first = code === 1012 || code === 1013 || (code >= 4000 && code <= 4499) ? 2000 : BACK_OFF.first;
    this.#again = setTimeout(() => this.#connect(), wait * 1000 + backOff(this.#tries++, first));
  }

  #end() {
    if (!isFinal(this.#status)) this.#tell(false, true);
    this.stop();
  }

  #drop() {
    const link = this.#link;
    this.#link = null;
    link?.close();
  }

  #tell(live, ended = false) {
    if (!this.#done) this.#onConnection({ live, ended, channel: CHANNELS[this.#channel] });
  }

  #take(snapshot) {
    if (this.#done) return;
    if (snapshot.session_id !== this.#attempt.session_id) {
      if (!this.#renewal) return;
      this.#follow(snapshot.session_id);
      this.#renewal(true);
    }
    if (snapshot.seq <= this.#seq) return;
    this.#seq = snapshot.seq;
    this.#status = snapshot.status;
    this.#expect(snapshot);
    this.#onSnapshot(snapshot);
    if (this.#done) return;
    if (snapshot.status === "confirmed") this.stop();
    // The socket stays for a renewal; the other channels have nothing more to say.
    else if (isFinal(snapshot.status) && this.#channel > 0) this.#drop();
  }

  /** The attempt's successor has its own id, and so its own addresses; its `seq` starts anew. */
  #follow(id) {
    const former = this.#attempt.session_id;
    for (const name of ["ws_url", "events_url", "status_url"]) {
      this.#attempt[name] = this.#attempt[name].replace(former, id);
    }
    this.#attempt.session_id = id;
    this.#seq = -1;
  }

  /** When the code or the attempt should have ended and nothing was said, ask. */
  #expect({ expires_in: life, qr_expires_in: code }) {
    clearTimeout(this.#due);
    if (isFinal(this.#status)) return;
    this.#due = setTimeout(() => {
      this.#link?.check();
      this.#ask();
    }, (Math.min(life, code ?? life) + 2) * 1000);
  }

  /** Read the truth by plain HTTP. Resolves to the problem, if there was one. */
  async #ask() {
    try {
      const snapshot = await this.#read({});
      if (snapshot) this.#take(snapshot);
      return null;
    } catch (problem) {
      if (problem.status === 404 || problem.status === 410) this.#end();
      return problem;
    }
  }

  #wake = (event) => {
    if (this.#done || isFinal(this.#status)) return;
    if (event.type === "pageshow" && !event.persisted) return;
    if (event.type === "visibilitychange" && document.visibilityState === "hidden") return;
    if (event.type === "online" && this.#channel > 0) {
      // Another network may let sockets through.
      this.#channel = this.#refusals = this.#tries = 0;
      this.#drop();
      this.#connect();
    } else if (this.#again) this.#connect();
    else {
      this.#link?.check();
      this.#ask();
    }
  };
}

/** `login.v1`: alive is what has answered a ping, not what has opened. *hello* makes a first frame. */
export function openSocket({ attempt, seq, snapshot, problem, live, lost, hello }) {
  let socket, silence, asking;
  const expectAnswer = () => {
    silence ??= setTimeout(lost, ANSWER_WITHIN);
  };
  const send = (frame) => {
    if (socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(frame));
    return true;
  };
  const check = () => {
    expectAnswer();
    send({ type: "ping" });
  };
  return {
    begin() {
      const address = new URL(attempt.ws_url);
      address.protocol = address.protocol.replace("http", "ws");
      if (seq() >= 0) address.searchParams.set("seq", seq());
      try {
        socket = new WebSocket(address, "login.v1");
      } catch {
        return lost();
      }
      expectAnswer();
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
        silence = null;
        clearTimeout(asking);
        asking = setTimeout(check, ASK_EVERY);
        live();
        const frame = JSON.parse(data);
        if (frame.type === "status") snapshot(frame);
        else if (frame.type !== "pong") problem(frame);
      };
    },
    send,
    check,
    close() {
      clearTimeout(silence);
      clearTimeout(asking);
      if (!socket) return;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

/** EventSource hides comments, so a quiet stream is compared with a plain read; a deaf one is left. */
function openEvents({ attempt, seq, read, snapshot, live, lost }) {
  let source, asking, silence;
  const check = async () => {
    clearTimeout(asking);
    asking = setTimeout(check, ASK_EVERY);
    try {
      const newest = await read({ seq: seq() });
      if (!newest || newest.seq <= seq()) return;
      snapshot(newest);
      lost();
    } catch {
      lost();
    }
  };
  return {
    begin() {
      source = new EventSource(attempt.events_url);
      silence = setTimeout(lost, ANSWER_WITHIN);
      asking = setTimeout(check, ASK_EVERY);
      const take = ({ data }) => {
        clearTimeout(silence);
        live();
        snapshot(JSON.parse(data));
      };
      source.onmessage = take;
      source.addEventListener("status", take);
      // The browser would come back by itself, but all clients at the same pace.
      source.onerror = () => lost();
    },
    check,
    close() {
      clearTimeout(asking);
      clearTimeout(silence);
      source?.close();
    },
  };
}

function openPoll({ seq, read, snapshot, live, lost }) {
  let stop = new AbortController();
  let closed = false;
  const run = async () => {
    let wait = 0; // the first answer at once, to know that the way is free
    while (!closed) {
      const began = performance.now();
      const { signal } = (stop = new AbortController());
      const overdue = setTimeout(() => stop.abort(), POLL_HOLD * 1000 + ANSWER_WITHIN);
      try {
        const newest = await read({ seq: seq(), wait, signal });
        if (closed) return;
        live();
        if (newest && newest.seq > seq()) snapshot(newest);
        // A server that does not hold the poll must not be asked without pause.
        else if (wait && performance.now() - began < 1000) await new Promise((next) => setTimeout(next, 1000 + backOff(0)));
        wait = POLL_HOLD;
      } catch (problem) {
        if (!closed) lost(problem.status === 404 || problem.status === 410 ? 4510 : 1006, problem.retryAfter ?? 0);
        return;
      } finally {
        clearTimeout(overdue);
      }
    }
  };
  return {
    begin: run,
    // A held poll on a line that has died says nothing: ask afresh.
    check: () => lost(),
    close() {
      closed = true;
      stop.abort();
    },
  };
}
