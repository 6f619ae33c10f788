// For every page: restore the text of a form that was refused, for example because the session has expired. The text
// is kept in this tab until the form's page is shown again to the same account.

import { gettext } from "./texts.js";

const KEPT = "catloader-typed";
const TYPED = "textarea, input:not([type])"; // no passwords, no codes, nothing hidden
const REFUSED = "main .error, form[action$='/login']";
const { account = "" } = document.body.dataset;

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    return null; // the browser stores nothing
  }
}

function keep(entry) {
  try {
    if (entry) sessionStorage.setItem(KEPT, JSON.stringify(entry));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // as above
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || !account) return;
  const fields = [...form.querySelectorAll(TYPED)].filter((field) => field.name && field.value !== field.defaultValue);
  const texts = fields.map(({ name, value }) => [name, value]);
  keep(texts.length && { account, path: location.pathname, action: form.action, texts });
});

function restore({ action, texts }) {
  const form = [...document.forms].find((other) => other.action === action);
  if (!form) return;
  for (const [name, value] of texts) {
    const field = form.querySelector(`:is(${TYPED})[name="${name}"]`);
    if (!field) continue;
    field.value = value;
    const folded = field.closest("details");
    if (folded) folded.open = true;
  }
  const note = document.createElement("p");
  note.className = "note";
  note.role = "status";
  form.prepend(note);
  note.textContent = gettext("This was not sent. Send it again.");
}

const kept = read();
const isOfOther = kept && account && kept.account !== account;
if (kept && !isOfOther && document.querySelector(REFUSED)) keep({ ...kept, refused: true });
else if (kept && (!kept.refused || isOfOther || kept.path === location.pathname)) {
  keep(null);
  if (kept.refused && !isOfOther && account) restore(kept);
}
