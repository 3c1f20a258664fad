/** The phone's confirm page: sends the person's decision once and shows in place what became of it. */
import { showTime, text } from "./page.js";

const REPLY_WITHIN = 15000; // ms
const PASSING = [0, 408, 429, 500, 502, 503, 504];
const TOLD = { confirm: "confirmed", cancel: "declined", report: "reported" };

const $ = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const [ask, trouble, caution, acknowledged] = ["ask", "trouble", "caution", "acknowledged"].map($);
const buttons = [...ask.querySelectorAll("[data-action]")];
const card = (name) => document.querySelector(`template[data-outcome="${name}"]`);
const end = performance.now() + Number(ask.dataset.expiresIn) * 1000;
let busy = false;

function setBusy(yes) {
  busy = yes;
  for (const button of buttons) button.disabled = yes;
  ask.ariaBusy = String(yes);
  $("progress").textContent = yes ? text("page.confirm.sending") : "";
}

function finish(name, message) {
  busy = true;
  const shown = card(name).content.cloneNode(true);
  if (message) shown.querySelector("[data-what]").textContent = message;
  const heading = shown.querySelector("h1");
  ask.replaceWith(shown);
  document.title = heading.textContent;
  heading.focus();
}

async function call(path, options) {
  const headers = { "Accept-Language": document.documentElement.lang, "Content-Type": "application/json", "X-CSRF-Token": meta("csrf-token") };
  try {
    const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout?.(REPLY_WITHIN) });
    return { ok: response.ok, status: response.status, reply: await response.json().catch(() => ({})) };
  } catch {
    return { ok: false, status: 0, reply: {} };
  }
}

/** What has become of the attempt: an answer to an earlier tap may have been lost on the way. */
async function outcomeNow() {
  const { reply } = await call(`/api/auth/wechat/status/${meta("session-id")}`);
  const name = reply.data?.reason ?? reply.data?.status;
  return card(name) ? name : null;
}

function tell(message, focused) {
  trouble.textContent = message;
  trouble.hidden = !message;
  focused?.focus();
}

async function decide({ currentTarget: button }) {
  const { action } = button.dataset;
  if (busy) return;
  if (action === "confirm" && !caution.hidden && !acknowledged.checked) {
    tell(text("page.confirm.acknowledge_first"), acknowledged);
    return;
  }
  setBusy(true);
  tell("");
  button.dataset.sending = "";
  const body = JSON.stringify({ session_id: meta("session-id"), action, acknowledged: acknowledged.checked });
  const { ok, status, reply } = await call("/api/auth/wechat/confirm", { method: "POST", body });
  const slug = reply.type?.split("/").pop();
  const retold = document.querySelector(`template[data-slugs~="${slug}"]`)?.dataset.outcome;
  const known = ok ? TOLD[action] : ["attempt-failed", "wrong-state"].includes(slug) ? await outcomeNow() : retold;
  delete button.dataset.sending;
  setBusy(false);
  if (known) finish(known);
  else if (slug === "confirmation-required") {
    caution.hidden = false;
    tell(reply.message, acknowledged);
  } else if (PASSING.includes(status)) tell(reply.message || text("page.confirm.unreachable"), button);
  else finish("failed", reply.message);
}

for (const time of ask.querySelectorAll("time")) showTime(time, time.dateTime);
const portrait = ask.querySelector(".avatar img");
const seen = () => { portrait.hidden = !portrait.naturalWidth; }; // else the silhouette is
portrait.onerror = seen;
if (portrait.complete) seen();
for (const button of buttons) button.addEventListener("click", decide);
setBusy(false);
setInterval(() => {
  if (!busy && performance.now() >= end) finish("expired");
}, 1000);
