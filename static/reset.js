/** The page on which a forgotten password is replaced by a code. */
import { wire } from "./forms.js";
import { HubProblem, LoginHub } from "./hub-client.js";
import { nameCountries } from "./page.js";

const form = document.querySelector("form");
const hub = new LoginHub();

async function send(body) {
  const headers = { "Content-Type": "application/json", "Accept-Language": document.documentElement.lang };
  const response = await fetch(form.dataset.path, { method: "POST", headers, body: JSON.stringify(body) })
    .catch(() => { throw new HubProblem(0); });
  if (!response.ok) throw new HubProblem(response.status, await response.json());
  hub.forget();
  for (const part of ["reset", "done"]) document.getElementById(part).hidden = part === "reset";
  document.querySelector("#done h1").focus();
}

wire(form, hub, send);
nameCountries();
