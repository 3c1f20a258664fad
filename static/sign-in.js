/** The hub's own sign-in page: <login-hub>, then who has signed in; in development the simulated phone. */
import "./login-hub.js";
import { showAvatar, text } from "./page.js";

const $ = (id) => document.getElementById(id);
const [page, element, card, phone] = ["page", "sign-in", "signed-in", "phone"].map($);
const { hub } = element;
const returned = document.querySelector('meta[name="attempt"]'); // back from WeChat's own page
if (returned) history.replaceState(null, "", returned.dataset.home); // its code is used up

function show(signedIn) {
  card.hidden = !signedIn;
  page.hidden = signedIn;
  $("trouble").hidden = true;
}

async function showSignedIn() {
  const profile = await hub.profile().catch((problem) => {
    if (!hub.session) throw problem;
    return {};
  });
  const { nickname, username, phone: number, email, avatar_url: avatar } = profile;
  showAvatar(card, avatar);
  $("name").textContent = nickname || username || number || email || text("page.person.nameless");
  show(true);
  $("signed-in-title").focus();
}

function showSignedOut() {
  show(false);
  $("signed-out").hidden = false;
  element.start();
}

element.addEventListener("scanned", () => { $("signed-out").hidden = true; });
element.addEventListener("confirmed", () => showSignedIn().catch(() => element.start()));
hub.onSignedOut = () => card.hidden || showSignedOut();
$("sign-out").addEventListener("click", () => hub.signOut().then(showSignedOut, ({ message }) => {
  $("trouble").textContent = message || text("page.sign_in.unreachable");
  $("trouble").hidden = false;
}));
if (phone) {
  element.addEventListener("pending", () => {
    const { qr_content: content, qr_url: picture } = hub.attempt;
    const seen = content?.startsWith("http") ? { scan: content } : { picture };
    phone.href = `${phone.dataset.phone}?${new URLSearchParams(seen)}`;
  });
  phone.addEventListener("click", (event) => {
    if (window.open(phone.href, "hub-phone", "popup,width=390,height=844")) event.preventDefault();
  });
  element.addEventListener("click", (event) => event.composedPath()[0].id === "code" && phone.click()); // is a scan
}

if (returned) {
  if (returned.dataset.binding === "cookie") element.resume(returned.content);
} else if (hub.remembered && !element.hasAttribute("redirect-uri")) {
  hub.refresh().then(showSignedIn).catch(() => element.start());
} else element.start();
