/** The account page: devices, ways to sign in and history, kept true by the account's event stream. */
import { followAccount } from "./hub-stream.js";
import { LoginHub } from "./hub-client.js";
import { wire } from "./forms.js";
import { knows, nameCountries, showAvatar, showTime, text } from "./page.js";

const hub = new LoginHub();
const $ = (id) => document.getElementById(id);
const lang = document.documentElement.lang;
const say = (name, values) => text(`page.account.${name}`, values);
const told = (name, other) => (knows(`page.account.${name}`) ? say(name) : other);
const get = (path) => hub.request(path, { method: "GET" });
const returned = document.querySelector('meta[name="attempt"]')?.content; // the person is back from WeChat's own page
if (returned) history.replaceState(null, "", "/account"); // the code in the address is used up

const PENDING = "hub.binding"; // sessionStorage: the attempt to bind that WeChat's own page is to lead back from
const OVER = [401, 422];
const BROWSERS = [["MicroMessenger", "WeChat"], ["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]];
const SYSTEMS = [["iPhone", "iPhone"], ["iPad", "iPad"], ["Android", "Android"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"]];

let profile = null;
let cursor = null; // of the history's next page
let target = null; // the session that a dialog is about

/* What is shown */

function away(title, words = "", { link = true, again = false } = {}) {
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  $("account").hidden = true;
  $("away").hidden = false;
  $("away-title").textContent = title;
  $("away-text").textContent = words;
  $("away-link").hidden = !link;
  $("away-again").hidden = !again;
}

const signedOut = () => {
  stop();
  hub.forget();
  away(say("signed_out"), say("signed_out.text"));
};

function deviceName({ device_name: name, user_agent: agent = "" }) {
  const found = (list) => list.find(([mark]) => agent?.includes(mark))?.[1];
  return name || [found(BROWSERS), found(SYSTEMS)].filter(Boolean).join(" · ") || say("unknown");
}

function ago(iso) {
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  if (seconds > -120) return say("active");
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, size]) => -seconds >= size);
  const format = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  return say("last_active", { time: format.format(Math.trunc(seconds / size), unit) });
}

const joined = (...parts) => parts.filter(Boolean).join(" · ");

function cloned(template, values = {}) {
  const row = $(template).content.firstElementChild.cloneNode(true);
  for (const [name, words] of Object.entries(values)) row.querySelector(`[data-${name}]`).textContent = words;
  return row;
}

const shape = (name) => document.querySelector(`template[data-icon="${name}"]`).content.cloneNode(true);

async function showDevices() {
  const { sessions } = await get("/api/sessions");
  const list = $("devices");
  const ended = new Set(sessions.map(({ id }) => id));
  for (const row of list.children) if (!ended.has(row.dataset.id)) endRow(row);
  sessions.sort((one, other) => other.current - one.current);
  let place = list.firstElementChild;
  for (const session of sessions) {
    const row = list.querySelector(`[data-id="${session.id}"]`) ?? deviceRow(session);
    const name = deviceName(session);
    row.querySelector("[data-name]").textContent = name;
    row.querySelector("[data-place]").textContent = joined(session.location, session.ip_address, ago(session.last_active_at));
    for (const button of row.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.textContent}: ${name}`);
    }
    if (row === place) place = place.nextElementSibling;
    else if (!row.parentNode) list.insertBefore(row, place);
  }
  $("end-others").hidden = sessions.length < 2;
}

function deviceRow(session) {
  const row = cloned("device");
  row.dataset.id = session.id;
  row.querySelector("[data-current]").hidden = !session.current;
  if (/iPhone|Android|Mobile/.test(session.user_agent)) row.querySelector(".tile").replaceChildren(shape("phone"));
  row.querySelector("[data-rename]").addEventListener("click", () => {
    target = session;
    open("rename", { device_name: row.querySelector("[data-name]").textContent });
  });
  row.querySelector("[data-end]").addEventListener("click", ({ currentTarget }) => {
    if (session.current) signOut();
    else press(currentTarget, () => hub.request(`/api/sessions/${session.id}`, { method: "DELETE" }).then(() => endRow(row)));
  });
  return row;
}

function endRow(row) {
  if ("over" in row.dataset) return;
  row.dataset.over = "";
  row.querySelector("[data-ended]").hidden = false;
  if (row.contains(document.activeElement)) $("devices-title").focus();
  row.querySelector(".actions").remove();
  $("end-others").hidden = !document.querySelector("#devices .row:not([data-over]) ~ .row:not([data-over])");
}

async function showProfile() {
  profile = await hub.profile();
  const { nickname, wechat_info: wechat, phone, email, login_methods: methods, created_at: since } = profile;
  const name = nickname || wechat?.nickname || profile.username || phone || email || text("page.person.nameless");
  const head = document.querySelector(".account-head");
  showAvatar(head.querySelector(".avatar"), profile.avatar_url);
  head.querySelector("[data-nickname]").textContent = name;
  $("since").textContent = say("since", { date: new Date(since).toLocaleDateString(lang, { dateStyle: "long" }) });
  const password = methods.includes("password");
  const ways = { wechat: wechat && (wechat.nickname || say("password.set")), phone, email, password: password && say("password.set") };
  for (const [way, value] of Object.entries(ways)) {
    const row = $(`way-${way}`);
    row.querySelector("[data-value]").textContent = value || say("none");
    row.toggleAttribute("data-off", !value);
    const button = row.querySelector("button");
    button.textContent = way === "wechat" ? say(value ? "unbind" : "bind") : say(value ? "change" : "add");
    button.setAttribute("aria-label", `${button.textContent}: ${row.querySelector("h3").textContent}`);
    if (way === "wechat") button.dataset.open = value ? "unbind" : "wechat";
    else if (way !== "password") button.hidden = !Number($(way).querySelector("[data-digits]").dataset.digits);
  }
  const current = document.querySelector("[data-current-password]");
  current.hidden = !password;
  current.querySelector("input").disabled = !password;
  for (const field of document.querySelectorAll("[name=username]")) field.value = profile.username || phone || email || "";
}

async function showHistory(more = false) {
  const query = new URLSearchParams({ limit: 10 });
  if ($("filter").value) query.set("status", $("filter").value);
  if (more) query.set("cursor", cursor);
  const { login_logs: tries, next_cursor: next } = await get(`/api/login-logs?${query}`);
  cursor = next;
  const rows = tries.map((each) => {
    const risks = each.risk?.signals ?? [];
    const why = each.reason && told(`reason.${each.reason}`, "");
    const grave = each.risk?.score > 2;
    const row = cloned("try", {
      name: told(`by.${each.method}`, each.method),
      mark: say(grave ? "unusual" : `status.${each.status}`),
      place: joined(why, deviceName(each), each.location, each.ip_address),
    });
    const tone = grave ? "warning" : { success: "success", failed: "neutral", blocked: "danger" }[each.status];
    row.dataset.tone = tone;
    row.querySelector("[data-shape]").append(shape(grave ? "risk" : each.status));
    for (const signal of risks) {
      const item = document.createElement("li");
      item.textContent = told(`risk.${signal}`, signal);
      row.querySelector("[data-risks]").append(item);
    }
    row.querySelector("[data-risks]").hidden = !risks.length;
    showTime(row.querySelector("time"), each.created_at);
    return row;
  });
  const first = rows[0];
  if (more) $("history").append(...rows);
  else $("history").replaceChildren(...rows);
  $("more").hidden = !next;
  $("history-empty").hidden = $("history").children.length > 0;
  if (more && first) {
    first.tabIndex = -1;
    first.focus();
  }
}

const showAll = () => Promise.all([showProfile(), showDevices(), showHistory()]);

function news(words, tone = "neutral") {
  const line = document.createElement("p");
  line.className = "notice";
  line.dataset.tone = tone;
  line.textContent = words;
  $("news").replaceChildren(line);
}

/* What is done */

/** Run *work* from a button that waits for it; what goes wrong is told above. */
async function press(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (problem) {
    failed(problem);
  } finally {
    button.disabled = false;
  }
}

function failed(problem) {
  if (!("slug" in problem)) throw problem;
  if (OVER.includes(problem.status) && !hub.session) signedOut();
  else news(problem.message || text("page.form.unreachable"), "danger");
}

function open(name, values = {}) {
  const form = $(name).querySelector("form");
  form.reset();
  for (const [field, value] of Object.entries(values)) form.elements[field].value = value;
  $(name).showModal();
}

/** Do *work*; where it takes a fresh proof of who is there, ask for one first. */
async function guarded(work) {
  try {
    return await work();
  } catch (problem) {
    if (problem.slug !== "reauth-required") throw problem;
    await proven();
    return work();
  }
}

/** Ask for the password, else for a code. Resolves once the person is proven; a closed dialog is a refusal. */
function proven() {
  const { login_methods: methods, phone, email } = profile;
  const channel = ["phone", "email"].find((name) => profile[name] && Number($("reauth_code").querySelector("[data-digits]").dataset[name]));
  $("by-code").hidden = !channel;
  const ask = (name) => new Promise((resolve, reject) => {
    const dialog = $(name);
    if (name === "reauth_code") {
      open(name, { channel, phone: channel === "phone" ? phone : "", email: channel === "email" ? email : "" });
      const { code } = dialog.querySelector("form").elements;
      code.dataset.digits = code.dataset[channel];
    } else open(name);
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "proven") resolve();
      else if (dialog.returnValue === "code") ask("reauth_code").then(resolve, reject);
      else reject(Object.assign(new Error(), { slug: "reauth-required", message: say("reauth.needed"), errors: [] }));
      dialog.returnValue = "";
    }, { once: true });
  });
  return ask(methods.includes("password") ? "reauth" : channel ? "reauth_code" : "reauth_none");
}

/** Let the form of dialog *name* do *work(body)*, close, and tell that it is done. */
function act(name, work) {
  wire($(name).querySelector("form"), hub, async (body) => {
    await guarded(() => work(body));
    $(name).close();
    news(say("changed"), "success");
    await showAll();
  });
}

const post = (path) => (body) => hub.request(path, { body });
act("rename", (body) => hub.request(`/api/sessions/${target.id}`, { method: "PATCH", body }));
act("others", () => hub.request("/api/logout-all", { body: { except_current: true } }));
act("phone", post("/api/user/bind-phone"));
act("email", post("/api/user/bind-email"));
act("password", ({ current_password: current, new_password: next }) => hub.request("/api/password/change", { body: { current_password: current, new_password: next } }));
act("unbind", () => hub.request("/api/user/unbind-wechat", { body: {} }));
wire($("delete").querySelector("form"), hub, async () => {
  await guarded(() => hub.request("/api/user", { method: "DELETE" }));
  stop();
  hub.forget();
  away(say("deleted"), say("deleted.text"));
});
for (const name of ["reauth", "reauth_code"]) {
  wire($(name).querySelector("form"), hub, async ({ code, channel, password }) => {
    await hub.reauth(password ? { password } : { code, channel });
    $(name).close("proven");
  });
}
wire($("reauth_none").querySelector("form"), hub, async () => {
  await hub.signOut();
  location.assign("/");
});
$("by-code").addEventListener("click", () => $("reauth").close("code"));

async function signOut() {
  try {
    await hub.signOut();
    signedOut();
  } catch (problem) {
    failed(problem);
  }
}

/* WeChat */

const bind = ({ qr_code: code, session_id: id }) => hub.request("/api/user/bind-wechat", { body: { qr_code: code, session_id: id } });

async function bindWechat() {
  const [code, status, link] = ["code", "wechat-status", "wechat-away"].map($);
  $("wechat-again").hidden = true;
  code.hidden = link.hidden = true;
  status.textContent = say("loading");
  try {
    await guarded(() => hub.start({ purpose: "bind" }));
  } catch (problem) {
    $("wechat").close();
    failed(problem);
    return;
  }
  const { authorize_url: url } = hub.attempt;
  if (url) {
    sessionStorage.setItem(PENDING, JSON.stringify(hub.attempt));
    link.href = url;
    link.hidden = false;
  }
  const ended = (words) => {
    status.textContent = words;
    code.hidden = link.hidden = true;
    $("wechat-again").hidden = false;
  };
  hub.watch(async ({ status: now, reason, user_info: person }) => {
    if (now === "pending") {
      status.textContent = say("wechat.pending");
      if (!url) code.src = hub.attempt.qr_url;
      code.hidden = Boolean(url);
    } else if (now === "scanned") {
      status.textContent = text("page.sign_in.scanned", { nickname: person?.nickname || text("page.person.nameless") });
      code.hidden = true;
    } else if (now === "confirmed") {
      try {
        await bind(hub.attempt);
        $("wechat").close();
        news(say("changed"), "success");
        await showAll();
      } catch (problem) {
        ended(problem.message);
      }
    } else {
      const key = `page.sign_in.failed.${reason}`;
      ended(now === "expired" ? say("wechat.expired") : text(knows(key) ? key : "page.sign_in.failed.unknown"));
    }
  }, ({ ended: over }) => over && ended(say("wechat.expired")));
}

/** The person is back from WeChat's own page: finish, in the window that has begun it. */
async function finishBinding() {
  const pending = JSON.parse(sessionStorage.getItem(PENDING));
  sessionStorage.removeItem(PENDING);
  if (pending?.session_id !== returned) {
    news(say("wechat.approved"));
    return;
  }
  try {
    await bind(pending);
    news(say("changed"), "success");
    await showProfile();
  } catch (problem) {
    failed(problem);
  }
}

/* What happens */

function onEvent({ type, data }) {
  const own = data.session_id === hub.session?.session_id;
  if (type === "session.revoked") {
    const row = [...$("devices").children].find((each) => each.dataset.id === data.session_id);
    if (own) signedOut();
    else if (row) endRow(row);
    return;
  }
  if (type === "session.created" && !own) news(say("news.created"));
  if (type === "security.alert" && data.reason !== "password_changed") news(say("news.alert"), "warning");
  if (type === "login.failed") news(say("news.failed"), "warning");
  (type === "binding.changed" ? showProfile() : Promise.all([showDevices(), showHistory()])).catch(failed);
}

let stop = () => {};

async function begin() {
  away(say("loading"), "", { link: false });
  try {
    await hub.refresh();
    await showAll();
  } catch (problem) {
    if (OVER.includes(problem.status)) away(say("signed_out"), say("signed_out.text"));
    else away(say("unreachable"), problem.message, { link: false, again: true });
    return;
  }
  $("away").hidden = true;
  $("account").hidden = false;
  if (returned) await finishBinding();
  stop = followAccount(hub, { onEvent, onRead: showAll, onEnd: signedOut });
}

for (const button of document.querySelectorAll("[data-open]")) {
  button.addEventListener("click", () => {
    open(button.dataset.open);
    if (button.dataset.open === "wechat") bindWechat();
  });
}
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
$("wechat").addEventListener("close", () => hub.cancel());
$("wechat-again").addEventListener("click", bindWechat);
$("sign-out").addEventListener("click", signOut);
$("filter").addEventListener("change", () => showHistory().catch(failed));
$("more").addEventListener("click", ({ currentTarget }) => press(currentTarget, () => showHistory(true)));
$("away-again").addEventListener("click", begin);
hub.onSignedOut = signedOut;
nameCountries();
begin();
