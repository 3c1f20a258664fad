/** The hub's own sign-in page: around <login-hub>, who has signed in and, in development, the simulated phone. */
import "./login-hub.js";
import { knows, showAvatar, showTime, text } from "./page.js";

const $ = (id) => document.getElementById(id);
const [page, element, card, phone] = ["page", "sign-in", "signed-in", "phone"].map($);
const { hub } = element;
const returned = document.querySelector('meta[name="attempt"]'); // the person is back from WeChat's own page
if (returned) history.replaceState(null, "", returned.dataset.home); // the code in the address is used up

async function showSignedIn(person) {
  let profile = null;
  try {
    profile = await hub.profile();
  } catch (problem) {
    if (!hub.session) throw problem;
  }
  const { nickname, username, phone: number, email, avatar_url: avatar } = profile ?? person ?? {};
  showAvatar(card.querySelector(".avatar"), avatar);
  $("name").textContent = nickname || username || number || email || text("page.person.nameless");
  const names = (profile?.login_methods ?? []).map((name) => (knows(`page.method.${name}`) ? text(`page.method.${name}`) : name));
  $("methods").textContent = new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(names);
  showTime($("since"), profile?.last_login_at ?? new Date().toISOString());
  $("trouble").hidden = true;
  page.hidden = true;
  card.hidden = false;
  $("signed-in-title").focus();
}

function showSignedOut() {
  card.hidden = true;
  page.hidden = false;
  $("signed-out").hidden = false;
  element.start();
}

element.addEventListener("scanned", () => { $("signed-out").hidden = true; });
element.addEventListener("confirmed", ({ detail }) => showSignedIn(detail.user).catch(showSignedOut));
hub.onSignedOut = () => {
  if (!card.hidden) showSignedOut();
};
$("sign-out").addEventListener("click", async ({ target }) => {
  target.disabled = true;
  try {
    await hub.signOut();
    showSignedOut();
  } catch (problem) {
    $("trouble").textContent = problem.message || text("page.sign_in.unreachable");
    $("trouble").hidden = false;
  }
  target.disabled = false;
});
for (const link of document.querySelectorAll(".languages a")) {
  const query = new URLSearchParams(location.search); // keep a hosted sign-in's parameters
  query.set("lang", link.lang);
  link.href = `?${query}`;
}
if (phone) {
  element.addEventListener("pending", () => {
    const { qr_content: content, qr_url: picture } = hub.attempt;
    const seen = content?.startsWith("http") ? { scan: content } : { picture };
    phone.href = `${phone.dataset.phone}?${new URLSearchParams(seen)}`;
  });
  phone.addEventListener("click", (event) => {
    if (window.open(phone.href, "hub-phone", "popup,width=390,height=844")) event.preventDefault();
  });
  element.addEventListener("click", (event) => {
    if (event.composedPath()[0].id === "code") phone.click(); // in development a click is a scan
  });
}

if (returned) {
  if (returned.dataset.binding === "cookie") element.resume(returned.content);
} else if (hub.remembered && !element.hasAttribute("redirect-uri")) hub.refresh().then(() => showSignedIn()).catch(() => element.start());
else element.start();
