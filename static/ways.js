/** The sign-in page's other ways in: a tab and a form for each. */
import { wire } from "./forms.js";

/** *onWay* hears the name of the way that is chosen, *onSignedIn* the token reply of one that led in. */
export function offerWays(hub, onWay, onSignedIn) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    onWay(chosen.dataset.way);
  };
  for (const [place, tab] of tabs.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = tabs.at((place + step) % tabs.length);
      next.focus();
      choose(next);
    });
  }
  for (const form of document.querySelectorAll("form[data-path]")) {
    wire(form, hub, async (body) => {
      onSignedIn(await hub.signIn(form.dataset.path, body));
      form.reset();
    });
  }
}
