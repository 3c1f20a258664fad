/** The phone's confirm page: sends the person's decision. What comes of it, the page's address tells. */
import { showTime, text } from "./page.js";

const REPLY_WITHIN = 15000; // ms
const PASSING = [0, 408, 429, 500, 502, 503, 504];

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const [ask, trouble, progress, caution, acknowledged] = ["ask", "trouble", "progress", "caution", "acknowledged"]
  .map((id) => document.getElementById(id));
const buttons = [...ask.querySelectorAll("[data-action]")];
const portrait = ask.querySelector(".avatar img");
let busy = false;

function rest(yes) {
  busy = yes;
  for (const button of buttons) button.disabled = yes;
  progress.textContent = yes ? text("page.confirm.sending") : "";
}

function tell(message, focused) {
  trouble.textContent = message;
  trouble.hidden = !message;
  focused?.focus();
}

async function send(action) {
  const headers = {
    "Accept-Language": document.documentElement.lang, "Content-Type": "application/json", "X-CSRF-Token": meta("csrf-token"),
  };
  const body = JSON.stringify({ session_id: meta("session-id"), action, acknowledged: acknowledged.checked });
  const signal = AbortSignal.timeout?.(REPLY_WITHIN);
  try {
    const response = await fetch("/api/auth/wechat/confirm", { method: "POST", headers, body, signal });
    return { status: response.status, reply: await response.json() };
  } catch {
    return { status: 0, reply: {} };
  }
}

async function decide({ currentTarget: button }) {
  const { action } = button.dataset;
  if (busy) return;
  if (action === "confirm" && !caution.hidden && !acknowledged.checked) {
    return tell(text("page.confirm.acknowledge_first"), acknowledged);
  }
  rest(true);
  tell("");
  button.dataset.sending = "";
  const { status, reply } = await send(action);
  const careful = reply.type?.endsWith("/confirmation-required"); // something that only the server knows of
  if (!careful && !PASSING.includes(status)) return location.reload();
  delete button.dataset.sending;
  rest(false);
  if (careful) caution.hidden = false;
  tell(reply.message || text("page.confirm.unreachable"), careful ? acknowledged : button);
}

for (const time of ask.querySelectorAll("time")) showTime(time, time.dateTime);
for (const button of buttons) button.addEventListener("click", decide);
portrait.onerror = () => { portrait.hidden = true; };
if (portrait.complete) portrait.hidden = !portrait.naturalWidth; // it has failed before
rest(false);
setTimeout(() => busy || location.reload(), (Number(ask.dataset.expiresIn) + 1) * 1000);
