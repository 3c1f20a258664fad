/** Forms that speak JSON: errors at their fields, one-time codes with their wait, no second press meanwhile. */
import { text } from "./page.js";

const FIELD_OF = { // problem slug → the field it is told at; any other is told above the button
  "code-locked": "code", "invalid-code": "code", "invalid-credentials": "password", "password-locked": "password",
};

/**
 * Make *form* call `submit(body)`, whose HubProblems are shown where they belong. A `[data-send]` button sends a code by
 * *hub* to the address in the form, and may be pressed again after the server's wait; a whole code submits itself.
 */
export function wire(form, hub, submit) {
  const { code } = form.elements;
  const trouble = form.querySelector("[data-trouble]");
  const said = form.querySelector("[data-said]");
  const sender = form.querySelector("[data-send]");
  let busy = false;

  const clear = (field) => {
    field.removeAttribute("aria-invalid");
    document.getElementById(`${field.id}-error`).textContent = "";
  };
  const complain = (field, words) => {
    if (!field?.getAttribute?.("aria-describedby")) {
      trouble.textContent = words;
      trouble.hidden = false;
      return;
    }
    field.setAttribute("aria-invalid", "true");
    document.getElementById(`${field.id}-error`).textContent = words;
    field.focus();
  };
  const valid = (fields) => {
    const wrong = fields.find((field) => field.willValidate && !field.validity.valid);
    if (wrong) complain(wrong, text(wrong.validity.valueMissing ? "page.form.required" : "page.form.invalid"));
    return !wrong;
  };
  const refused = ({ slug, message, errors }) => {
    const name = FIELD_OF[slug] ?? errors[0]?.field;
    complain(form.elements[name] ?? form.elements[`current_${name}`], errors.length ? text("page.form.invalid") : message || text("page.form.unreachable"));
  };

  /** Run *work* with the form at rest. */
  async function hold(work) {
    if (busy) return;
    busy = true;
    form.setAttribute("aria-busy", "true");
    trouble.hidden = true;
    try {
      await work();
    } catch (problem) {
      if (!("slug" in problem)) throw problem;
      refused(problem);
      if (problem.slug === "invalid-code") code.select();
    } finally {
      busy = false;
      form.removeAttribute("aria-busy");
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (valid([...form.elements])) hold(() => submit(Object.fromEntries(new FormData(form))));
  });
  form.addEventListener("input", ({ target }) => {
    if (target.getAttribute("aria-describedby")) clear(target);
    if (target !== code) return;
    const digits = Number(code.dataset.digits);
    code.value = code.value.replace(/\D/g, "").slice(0, digits); // whatever was pasted around it
    if (code.value.length === digits) form.requestSubmit();
  });
  form.addEventListener("reset", () => {
    for (const field of form.querySelectorAll("[aria-invalid]")) clear(field);
    trouble.hidden = true;
    if (said) said.textContent = "";
  });
  sender?.addEventListener("click", () => {
    const { phone, country_code: country, email } = form.elements;
    if (!valid([phone ?? email])) return;
    hold(async () => {
      const to = { phone: phone?.value || undefined, country_code: country?.value, email: email?.value || undefined };
      const wait = await hub.sendCode({ ...to, purpose: sender.dataset.send });
      said.textContent = text("page.form.sent", { address: to.phone ?? to.email });
      code.focus();
      countDown(sender, wait);
    });
  });
}

function countDown(button, seconds) {
  const words = (button.dataset.words ??= button.textContent);
  const end = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? text("page.form.resend", { seconds: left }) : words;
    if (left > 0) setTimeout(tick, 500);
  };
  tick();
}
