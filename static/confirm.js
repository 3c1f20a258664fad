/** The phone's confirm page: sends the person's decision once and shows in place what became of it. */
import { showTime, text } from "./page.js";

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const ask = document.getElementById("ask");
const trouble = document.getElementById("trouble");
const progress = document.getElementById("progress");
const caution = document.getElementById("caution");
const acknowledged = document.getElementById("acknowledged");
const buttons = [...ask.querySelectorAll("[data-action]")];

const REPLY_WITHIN = 15000; // ms
const OUTCOME = { confirm: "confirmed", cancel: "declined", report: "reported" };
const REFUSED = { // problem slug → what the person is shown; any other final refusal is "failed" with its message
  "account-blocked": "account_blocked",
  "already-bound": "already_bound",
  "already-claimed": "already_claimed",
  "attempt-expired": "expired",
  "attempt-not-found": "not_found",
  "sign-in-refused": "risk",
};
const OVER = ["attempt-failed", "wrong-state"]; // the attempt itself knows why
const PASSING = [0, 408, 429, 500, 502, 503, 504];

let busy = false;
let over = false;
const end = performance.now() + Number(ask.dataset.expiresIn) * 1000;

const template = (name) => document.querySelector(`template[data-outcome="${name}"]`);

function setBusy(yes) {
  busy = yes;
  for (const button of buttons) button.disabled = yes;
  ask.setAttribute("aria-busy", yes);
}

function finish(name, message) {
  if (over) return;
  over = true;
  const card = template(name).content.cloneNode(true);
  if (message) card.querySelector("[data-what]").textContent = message;
  const heading = card.querySelector("h1");
  ask.replaceWith(card);
  document.title = heading.textContent;
  heading.focus();
}

async function call(path, options) {
  const stop = new AbortController();
  const overdue = setTimeout(() => stop.abort(), REPLY_WITHIN);
  try {
    const response = await fetch(path, {
      ...options,
      credentials: "same-origin",
      cache: "no-store",
      headers: { "Accept-Language": document.documentElement.lang, ...options.headers },
      signal: stop.signal,
    });
    const reply = await response.json().catch(() => ({}));
    return { ok: response.ok, status: response.status, reply };
  } catch {
    return { ok: false, status: 0, reply: {} };
  } finally {
    clearTimeout(overdue);
  }
}

const send = (action) => call("/api/auth/wechat/confirm", {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRF-Token": meta("csrf-token") },
  body: JSON.stringify({ session_id: meta("session-id"), action, acknowledged: acknowledged.checked }),
});

/** What has become of the attempt: an answer to an earlier tap may have been lost on the way. */
async function outcomeNow() {
  const { ok, reply } = await call(`/api/auth/wechat/status/${meta("session-id")}`, {});
  if (!ok) return null;
  const { status, reason } = reply.data;
  const name = status === "failed" ? reason : status;
  return template(name) ? name : null;
}

function demandAcknowledgement(message) {
  caution.hidden = false;
  trouble.textContent = message;
  trouble.hidden = false;
  acknowledged.focus();
}

async function decide({ currentTarget: button }) {
  if (busy || over) return;
  if (button.dataset.action === "confirm" && !caution.hidden && !acknowledged.checked) {
    demandAcknowledgement(text("page.confirm.acknowledge_first"));
    return;
  }
  setBusy(true);
  button.dataset.sending = "";
  trouble.hidden = true;
  progress.textContent = text("page.confirm.sending");
  const { ok, status, reply } = await send(button.dataset.action);
  const slug = reply.type?.split("/").pop();
  const known = REFUSED[slug] ?? (OVER.includes(slug) ? await outcomeNow() : null);
  progress.textContent = "";
  delete button.dataset.sending;
  if (ok) finish(OUTCOME[button.dataset.action]);
  else if (slug === "confirmation-required") {
    setBusy(false);
    demandAcknowledgement(reply.message);
  } else if (PASSING.includes(status)) {
    trouble.textContent = reply.message || text("page.confirm.unreachable");
    trouble.hidden = false;
    setBusy(false);
    button.focus();
  } else finish(known ?? "failed", known ? null : reply.message);
}

function watchTheTime() {
  if (!busy && performance.now() >= end) finish("expired");
}

for (const time of ask.querySelectorAll("time")) showTime(time, time.dateTime);
const portrait = ask.querySelector(".avatar img");
portrait.addEventListener("error", () => {
  portrait.hidden = true;
});
if (portrait.complete && !portrait.naturalWidth) portrait.hidden = true;
for (const button of buttons) button.addEventListener("click", decide);
setBusy(false);
setInterval(watchTheTime, 1000);
