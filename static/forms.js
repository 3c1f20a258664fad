/** Forms that speak JSON: errors at their fields, one-time codes with their wait, no second press. */
import { text } from "./page.js";

const FIELD_OF = { // problem slug → the field it is told at; any other is told above the button
  "code-locked": "code", "invalid-code": "code", "invalid-credentials": "password", "password-locked": "password",
};

/**
 * Make *form* call `submit(body)`, whose HubProblems are shown where they belong. A `[data-send]` button makes *hub* send a
 * code to the form's address, again only after the server's wait; a whole code submits itself.
 */
export function wire(form, hub, submit) {
  const { elements } = form;
  const { code } = elements;
  const [trouble, said, sender] = ["trouble", "said", "send"].map((name) => form.querySelector(`[data-${name}]`));
  let busy = false;
  let early; // the code came while busy

  /** Tell *words* at the field, else above the button; "" takes them back. */
  const tell = (field, words) => {
    const place = (field?.id && form.querySelector(`#${field.id}-error`)) || trouble;
    place.textContent = words;
    trouble.hidden = !trouble.textContent;
    if (place === trouble) return;
    field.ariaInvalid = words ? "true" : null;
    if (words) field.focus();
  };
  const valid = (fields) => {
    const wrong = fields.find((field) => !field.checkValidity());
    if (wrong) tell(wrong, text(wrong.validity.valueMissing ? "page.form.required" : "page.form.invalid"));
    return !wrong;
  };

  /** Run *work* with the form at rest. */
  async function hold(work) {
    if (busy) return;
    busy = true;
    early = false;
    form.ariaBusy = "true";
    tell(null, "");
    try {
      await work();
    } catch (problem) {
      if (!("slug" in problem)) throw problem;
      const [{ field = FIELD_OF[problem.slug], reason } = {}] = problem.errors;
      tell(elements[field] ?? elements[`current_${field}`], reason || problem.message || text("page.form.unreachable"));
      if (field === "code") code.select();
    } finally {
      busy = false;
      form.ariaBusy = null;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => value);
    if (valid([...elements])) hold(() => submit(Object.fromEntries(given)));
  });
  form.addEventListener("input", ({ target }) => {
    if (target.ariaInvalid) tell(target, "");
    if (target !== code) return;
    const { digits } = code.dataset;
    code.value = code.value.replace(/\D/g, "").slice(0, digits); // whatever was pasted around it
    if (code.value.length < digits) return;
    early = busy;
    form.requestSubmit();
  });
  form.addEventListener("reset", () => {
    for (const field of [...elements, null]) tell(field, "");
    if (said) said.textContent = "";
  });
  sender?.addEventListener("click", () => {
    const { phone, country_code: country, email } = elements;
    if (!valid([phone ?? email])) return;
    hold(async () => {
      const to = { phone: phone?.value, country_code: country?.value, email: email?.value };
      const wait = await hub.sendCode({ ...to, purpose: sender.dataset.send });
      said.textContent = text("page.form.sent", { address: to.phone ?? to.email });
      code.focus();
      countDown(sender, wait);
    }).then(() => early && form.requestSubmit());
  });
}

function countDown(button, seconds) {
  const words = button.textContent;
  const end = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = button.disabled ? text("page.form.resend", { seconds: left }) : words;
    if (button.disabled) setTimeout(tick, 500);
  };
  tick();
}
