/** The sign-in page: shows the code, follows the attempt, and then the person who has signed in. */
import { LoginHub } from "./hub-client.js";
import { offerWays } from "./ways.js";
import { knows, nameCountries, showAvatar, showTime, text } from "./page.js";

const hub = new LoginHub();
const $ = (id) => document.getElementById(id);
const page = $("sign-in");
const card = $("signed-in");
const returned = document.querySelector('meta[name="attempt"]'); // the person is back from WeChat's own page
if (returned) history.replaceState(null, "", returned.dataset.home); // the code in the address is used up
const query = new URLSearchParams(location.search);
const hosted = query.has("redirect_uri"); // another site's sign-in: its back end redeems, not this page

const STALE_AFTER = 12; // s after its rotation was due, a code is no longer accepted
const PATIENCE = 3000; // ms without a line before the person is told
const LEAVING = 3000; // ms in which WeChat's page leads this window on, if it is this window that it was shown in

let deadline = null; // {end, codeEnd, total} in ms of performance.now(): the wall clock may be wrong
let shownCode = null;
let hint = null;
let startingOver = false;
let unreachable = false;

function show(status, words) {
  page.dataset.status = status;
  for (const part of page.querySelectorAll("[data-when]")) {
    part.hidden = !part.dataset.when.split(" ").includes(status);
  }
  if ($("status").textContent !== words) $("status").textContent = words;
}

function onSnapshot(snapshot) {
  if (hub.session) return; // another way was quicker
  const { status, reason, user_info: person } = snapshot;
  if (["pending", "scanned"].includes(status)) {
    const now = performance.now();
    const total = page.dataset.status === status && deadline ? deadline.total : snapshot.expires_in * 1000;
    deadline = {
      end: now + snapshot.expires_in * 1000,
      codeEnd: snapshot.qr_expires_in ? now + snapshot.qr_expires_in * 1000 : Infinity,
      total: Math.max(total, snapshot.expires_in * 1000),
    };
  } else {
    deadline = null;
    tellConnection({ live: true, channel: "websocket" });
  }
  if (status !== "pending") $("signed-out").hidden = true;
  if (status === "pending") {
    showCode();
    show(status, text("page.sign_in.pending"));
  } else if (status === "scanned") {
    const nickname = person?.nickname || text("page.person.nameless"); // WeChat tells some apps no name
    showPerson(page, { ...person, nickname });
    show(status, text("page.sign_in.scanned", { nickname }));
  } else if (status === "confirmed") {
    show(status, text(hosted ? "page.sign_in.leaving" : "page.sign_in.confirmed"));
    // Two pages must not redeem the same attempt: the tokens would go to the one that is being left.
    setTimeout(() => finish(snapshot), hub.attempt.authorize_url && !returned ? LEAVING : 0);
  } else if (status === "expired") {
    show(status, text("page.sign_in.expired"));
  } else if (startingOver) {
    renew();
  } else {
    const key = `page.sign_in.failed.${reason}`;
    show("failed", text(knows(key) ? key : "page.sign_in.failed.unknown"));
  }
  tick();
}

/** Load the new picture beside the old one and swap them when it can be painted. */
async function showCode() {
  const { qr_url: url, authorize_url: away, qr_content: content } = hub.attempt;
  const link = $("window");
  link.hidden = !away;
  if (page.dataset.way === "window") {
    if (away) showWeChat(link, away);
    return;
  }
  const phone = $("phone");
  if (phone) {
    const seen = content?.startsWith("http") ? { scan: content } : { picture: url };
    phone.href = `${phone.dataset.phone}?${new URLSearchParams(seen)}`;
  }
  if (shownCode === url) return;
  shownCode = url;
  const former = $("code");
  const next = former.cloneNode();
  next.hidden = false;
  for (let tries = 0; shownCode === url && tries < 3; tries += 1) {
    try {
      next.src = url;
      await next.decode();
      if (shownCode === url) $("code").replaceWith(next);
      return;
    } catch {
      next.removeAttribute("src");
      await new Promise((again) => setTimeout(again, 1000));
    }
  }
  if (shownCode === url) unavailable(text("page.sign_in.unreachable"));
}

/** WeChat's own page: by the link in this window, and in a frame where there is one, which leads this window on. */
function showWeChat(link, away) {
  link.href = away;
  const frame = $("frame");
  if (!frame || shownCode === away) return;
  shownCode = away;
  const address = new URL(away);
  address.searchParams.set("login_type", "jssdk");
  address.searchParams.set("self_redirect", "default");
  frame.src = address;
  frame.hidden = false;
}

function showPerson(where, person) {
  showAvatar(where.querySelector(".avatar"), person?.avatar_url);
  for (const name of where.querySelectorAll("[data-nickname]")) name.textContent = person?.nickname ?? "";
}

/** Once a second: the ring, the time left, and what the server would say if it could be heard. */
function tick() {
  if (!deadline) return;
  const now = performance.now();
  const left = Math.max(0, deadline.end - now);
  $("ring").style.strokeDashoffset = 100 * (1 - left / deadline.total);
  const seconds = Math.ceil(left / 1000);
  const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  $("time-left").textContent = text("page.sign_in.time_left", { time });
  page.toggleAttribute("data-stale", now > deadline.codeEnd + STALE_AFTER * 1000);
  if (now > deadline.end + 5000) {
    deadline = null;
    show("expired", text("page.sign_in.expired"));
  }
}

/** A short break is nobody's business; a longer one is said quietly. */
function tellConnection({ live, channel, ended }) {
  const say = (words) => {
    $("connection").textContent = words;
  };
  if (!live && !ended) {
    hint ??= setTimeout(() => say(text("page.sign_in.offline")), PATIENCE);
    return;
  }
  clearTimeout(hint);
  hint = null;
  say(channel === "websocket" || ended ? "" : text("page.sign_in.fallback"));
  if (ended) unavailable(text("page.sign_in.expired"));
}

function explain({ status, message }) {
  if (status === 0) return text("page.sign_in.unreachable");
  return message || text("page.sign_in.failed.unknown");
}

function unavailable(words) {
  deadline = null;
  show("unavailable", words);
}

async function begin(how) {
  shownCode = null;
  $("code").hidden = true; // the former one is dead
  unreachable = false;
  show("starting", text("page.sign_in.starting"));
  try {
    await how();
  } catch (problem) {
    unreachable = problem.status === 0;
    unavailable(explain(problem));
  } finally {
    startingOver = false;
  }
}

const start = () => begin(async () => {
  await hub.start({
    door: page.dataset.door,
    redirectUri: query.get("redirect_uri") ?? undefined,
    state: query.get("state") ?? undefined,
    codeChallenge: query.get("code_challenge") ?? undefined,
    codeChallengeMethod: query.get("code_challenge_method") ?? undefined,
  });
  hub.watch(onSnapshot, tellConnection);
});

const renew = () => (hub.attempt?.ws_url ? begin(() => hub.renew()) : start());

/** The person is back from WeChat's page, in a window that has begun the attempt, or in another one. */
function resume() {
  if (hub.resume(returned.content, { byCookie: returned.dataset.binding === "cookie" })) {
    onSnapshot({ status: "confirmed", user_info: null });
  } else show("elsewhere", text("page.sign_in.elsewhere"));
}

async function finish({ user_info: person }) {
  try {
    if (hosted) {
      location.replace(await hub.redirectUrl());
      return;
    }
    await hub.redeem({ tokenDelivery: "cookie" });
    await showSignedIn(person);
  } catch (problem) {
    unavailable(explain(problem));
  }
}

/** Another way has led in: the code is of no use any more. */
function onSignedIn({ user }) {
  hub.cancel();
  showSignedIn(user).catch((problem) => unavailable(explain(problem)));
}

async function showSignedIn(person) {
  let profile = null;
  try {
    profile = await hub.profile();
  } catch (problem) {
    if (!hub.session) throw problem;
  }
  const { nickname, avatar_url } = profile ?? person ?? {};
  const name = nickname || profile?.username || profile?.phone || profile?.email || text("page.person.nameless");
  showPerson(card, { nickname: name, avatar_url });
  const names = (profile?.login_methods ?? ["wechat"]).map(methodName);
  $("methods").textContent = new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(names);
  showTime($("since"), profile?.last_login_at ?? new Date().toISOString());
  $("trouble").hidden = true;
  page.hidden = true;
  card.hidden = false;
  $("signed-in-title").focus();
}

function methodName(name) {
  const key = `page.method.${name}`;
  return knows(key) ? text(key) : name;
}

async function signOut() {
  $("sign-out").disabled = true;
  try {
    await hub.signOut();
    showSignedOut();
  } catch (problem) {
    $("trouble").textContent = explain(problem);
    $("trouble").hidden = false;
  } finally {
    $("sign-out").disabled = false;
  }
}

function showSignedOut() {
  card.hidden = true;
  page.hidden = false;
  $("signed-out").textContent = text("page.sign_in.signed_out");
  $("signed-out").hidden = false;
  start();
}

for (const button of page.querySelectorAll("[data-renew]")) {
  button.addEventListener("click", () => {
    $("status").focus(); // the button goes, and must not take the focus with it
    renew();
  });
}
$("start-over").addEventListener("click", () => {
  $("status").focus();
  startingOver = hub.cancel();
  if (!startingOver) start();
});
$("sign-out").addEventListener("click", signOut);
$("phone")?.addEventListener("click", (event) => {
  if (window.open(event.currentTarget.href, "hub-phone", "popup,width=390,height=844")) event.preventDefault();
});
$("plate").addEventListener("click", (event) => {
  if (event.target.id === "code") $("phone")?.click(); // in development a click is a scan
});
for (const link of document.querySelectorAll(".languages a")) {
  query.set("lang", link.lang); // keep a hosted sign-in's parameters
  link.href = `?${query}`;
}
hub.onSignedOut = () => {
  if (!card.hidden) showSignedOut();
};
addEventListener("online", () => {
  if (unreachable) renew();
});
setInterval(tick, 1000);
nameCountries();
offerWays(hub, (way) => { page.dataset.chosen = way; }, onSignedIn);

if (returned) resume();
else if (hub.remembered && !hosted) {
  try {
    await hub.refresh();
    await showSignedIn();
  } catch {
    start();
  }
} else start();
