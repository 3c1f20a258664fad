/** The account page: what the server renders, anew at each event, and its forms. */
import { wire } from "./forms.js";
import { LoginHub } from "./hub-client.js";
import "./login-hub.js";
import { followAccount } from "./hub-stream.js";
import { knows, nameCountries, showTime, text } from "./page.js";

const PENDING = "hub.binding"; // sessionStorage: the attempt that WeChat's own page leads back from

const hub = new LoginHub();
const $ = (id) => document.getElementById(id);
const isOver = ({ status }) => [401, 422].includes(status) && !hub.session;
const returned = document.querySelector('meta[name="attempt"]')?.content; // back from WeChat's own page
if (returned) history.replaceState(null, "", "/account"); // its code is used up

let stop = () => {};
let reading = 0;
let proven; // what goes on after a fresh proof

/** Show the account, or the card in its place. */
function show(name) {
  for (const part of document.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== name;
  if (name === "account") return;
  stop();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  document.querySelector(`[data-part=${name}] h1`).focus();
}

const leave = (name = "signed_out") => {
  hub.forget();
  show(name);
};

function news(words, tone = "success") {
  const line = $("news").firstElementChild;
  line.dataset.tone = tone;
  line.textContent = words;
  line.hidden = false;
}

function failed(problem) {
  if (!("slug" in problem)) throw problem;
  if (isOver(problem)) leave();
  else news(problem.message || text("page.form.unreachable"), "danger");
}

async function content(cursor = "") {
  const { html } = await hub.request(`/api/account/content?${$("filter")?.value ?? ""}${cursor}`);
  const page = document.createRange().createContextualFragment(html);
  for (const time of page.querySelectorAll("time")) showTime(time, time.dateTime);
  for (const form of page.querySelectorAll("form")) wire(form, hub, (body) => send(form, body));
  nameCountries(page);
  return page;
}

/** Read the account, and put in place what has changed. */
async function read() {
  const turn = ++reading;
  const page = await content();
  if (turn === reading) [...page.children].forEach(put);
}

function put(section) {
  const { outerHTML: html } = section;
  const former = $(section.id);
  if (former.madeOf === html || former.querySelector("[open]")) return;
  section.madeOf = html;
  for (const row of former.querySelectorAll("[id^=device-]")) { // one that has ended stays in sight
    if (section.querySelector(`#${row.id}`)) continue;
    row.dataset.over = "";
    row.querySelector(".actions")?.remove();
    section.querySelector(".rows").append(row);
  }
  const held = former.contains(document.activeElement) && document.activeElement.id;
  former.replaceWith(section);
  if (held !== false) ($(held) ?? section.querySelector("h1, h2")).focus();
}

async function more(button) {
  const page = await content(`&cursor=${button.dataset.cursor}`);
  const rows = page.querySelectorAll("#history .row");
  $("history").querySelector(".rows").append(...rows);
  button.replaceWith(page.querySelector("[data-cursor]") ?? "");
  rows[0].tabIndex = -1;
  rows[0].focus();
}

/** Send a form as it says; where that takes a fresh proof, ask for one first. */
async function send(form, fields) {
  const { path, method, body = "{}" } = form.dataset;
  const dialog = form.closest("dialog");
  try {
    if (path === "/api/reauth") await hub.reauth(fields);
    else await hub.request(path, { method, body: { ...JSON.parse(body), ...fields } });
  } catch (problem) {
    if (problem.slug === "reauth-required") return prove(() => form.requestSubmit());
    if (!dialog || isOver(problem)) return failed(problem);
    throw problem;
  }
  dialog?.close();
  if (path === "/api/reauth") return proven();
  if (path === "/api/user") return leave("deleted");
  return done();
}

const done = () => {
  news(text("page.account.changed"));
  return read().catch(failed);
};

function prove(then) {
  proven = then;
  open({ dataset: { open: "reauth" } });
}

function open({ dataset: { open: name, path, value } }) {
  const form = $(name).querySelector("form");
  form.reset();
  if (path) {
    form.dataset.path = path;
    form.elements[0].value = value;
  }
  $(name).showModal();
  if (name === "wechat") bind();
}

function bind() {
  const card = Object.assign(document.createElement("login-hub"), { hub });
  card.setAttribute("methods", "scan");
  card.setAttribute("purpose", "bind");
  card.addEventListener("pending", () => hub.attempt.authorize_url && sessionStorage.setItem(PENDING, JSON.stringify(hub.attempt)));
  card.addEventListener("confirmed", () => finish(hub.attempt));
  card.addEventListener("error", ({ detail }) => detail.reason === "reauth-required" && prove(bind));
  $("wechat-card").replaceChildren(card);
}

function finish({ qr_code, session_id }) {
  $("wechat").close();
  return hub.request("/api/user/bind-wechat", { body: { qr_code, session_id } }).then(done, failed);
}

/** Finish, in the window that has begun it. */
function resume() {
  const pending = JSON.parse(sessionStorage.getItem(PENDING));
  sessionStorage.removeItem(PENDING);
  return pending?.session_id === returned ? finish(pending) : news(text("page.account.wechat.approved"));
}

function onEvent({ type, data }) {
  const own = data.session_id && data.session_id === hub.session?.session_id;
  if (own && type === "session.revoked") return leave();
  const words = `page.account.news.${type}`;
  if (knows(words) && !own && data.reason !== "password_changed") news(text(words), type.startsWith("session") ? "neutral" : "warning");
  return read().catch(failed);
}

async function begin() {
  show("loading");
  try {
    await hub.refresh();
    await read();
  } catch (problem) {
    return show(isOver(problem) ? "signed_out" : "unreachable");
  }
  show("account");
  if (returned) await resume();
  stop = followAccount(hub, { onEvent, onRead: read, onEnd: leave });
}

const ACTIONS = {
  begin, more, open,
  close: (button) => button.closest("dialog").close(),
  signOut: () => hub.signOut().then(() => show("signed_out")),
};
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-do]");
  if (button) Promise.resolve(ACTIONS[button.dataset.do](button)).catch(failed);
});
document.addEventListener("change", ({ target }) => target.id === "filter" && read().catch(failed));
document.addEventListener("close", ({ target }) => {
  if (target.id !== "wechat") return;
  hub.cancel();
  $("wechat-card").replaceChildren();
}, true);
document.addEventListener("error", ({ target }) => { target.hidden = target.matches(".avatar img"); }, true);
hub.onSignedOut = () => show("signed_out");
begin();
