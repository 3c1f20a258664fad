/** WeChat's page with the QR code: polls until the phone has decided, then leads back to the app. */
const page = document.body;
const { uuid, poll, target, self } = page.dataset;
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

function show(state) {
  page.dataset.state = state;
  for (const part of document.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== String(state);
}

function leave(code) {
  const address = new URL(target);
  const state = address.searchParams.get("state") ?? "";
  address.searchParams.delete("state"); // code comes first, as in WeChat's own redirect
  address.searchParams.append("code", code);
  address.searchParams.append("state", state);
  (self === "true" ? window : window.top).location.href = address.href;
}

async function follow() {
  let last = "";
  for (;;) {
    const query = new URLSearchParams({ uuid, f: "json", _: String(Date.now()) });
    if (last) query.set("last", last);
    let answer;
    try {
      answer = await (await fetch(`${poll}?${query}`)).json();
    } catch {
      show("offline");
      await pause(2);
      continue;
    }
    switch (answer.wx_errcode) {
      case 405:
        show(405);
        leave(answer.wx_code);
        return;
      case 404:
      case 403:
        last = String(answer.wx_errcode);
        show(answer.wx_errcode);
        if (last === "403") await pause(2);
        break;
      case 402:
      case 500:
        location.reload(); // for a new code
        return;
      default:
        if (page.dataset.state === "offline") show(last || 408);
        await pause(1);
    }
  }
}

document.getElementById("phone").addEventListener("click", (event) => {
  if (window.open(event.currentTarget.href, "hub-phone", "popup,width=390,height=844")) event.preventDefault();
});
follow();
