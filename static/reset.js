/** The page on which a forgotten password is replaced by a code. */
import { wire } from "./forms.js";
import { LoginHub } from "./hub-client.js";
import { nameCountries } from "./page.js";

const form = document.querySelector("form");
const hub = new LoginHub();

async function send(body) {
  await hub.call(form.dataset.path, { body });
  hub.forget();
  for (const part of ["reset", "done"]) document.getElementById(part).hidden = part === "reset";
  document.querySelector("#done h1").focus();
}

wire(form, hub, send);
nameCountries();
