// For every page: send a form once even if its button is pressed twice; show passwords; copy links and secrets;
// show a drawing instead of photos whose file is missing; store the time zone in a cookie.

import { gettext } from "./texts.js";

// A reload of such a page would send its form again, and make or replace what the page shows only once.
const { reload } = document.body.dataset;
if (reload) history.replaceState(history.state, "", reload);

// My photos are grouped by month in this time zone.
if (document.body.dataset.account) document.cookie = `catloader_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;

const AGAIN_MS = 10000; // after that the response may be lost, and the button works again

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  const sent = Number(form.dataset.sent ?? 0);
  if (Date.now() - sent < AGAIN_MS) event.preventDefault();
  else form.dataset.sent = Date.now();
});
// The browser's Back button shows a page as it was left, with its forms marked as sent.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

for (const field of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "show-password";
  const settle = () => {
    button.textContent = field.type === "password" ? gettext("Show") : gettext("Hide");
    const label = document.createElement("span");
    label.className = "unseen";
    label.textContent = ` ${field.labels[0]?.textContent ?? ""}`;
    button.append(label);
  };
  button.onclick = () => {
    field.type = field.type === "password" ? "text" : "password";
    settle();
    field.focus();
  };
  settle();
  field.classList.add("with-button");
  field.after(button);
  // Password managers recognise only fields of the type password.
  field.form?.addEventListener("submit", () => {
    field.type = "password";
    settle();
  });
}

function select(shown) {
  if (shown.select) shown.select();
  else getSelection().selectAllChildren(shown);
}

for (const shown of document.querySelectorAll("code.secret, input[readonly], .recovery-codes")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet small copy";
  button.ariaLive = "polite";
  button.textContent = gettext("Copy");
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(shown.value ?? shown.innerText);
    } catch {
      select(shown); // no clipboard in old browsers, and on pages without https
      if (!document.execCommand("copy")) return; // the text stays selected
    }
    button.textContent = gettext("Copied");
  };
  shown.after(button);
}

function replace(img) {
  if (img.classList.contains("missing") || img.ariaBusy) return; // explain.js shows the photo again
  img.classList.add("missing");
  img.removeAttribute("srcset"); // browsers prefer it to `src`
  img.src = new URL("asleep.svg", import.meta.url);
  if (!img.matches(LARGE)) return;
  const note = document.createElement("p");
  note.className = "problem";
  note.role = "alert";
  note.textContent = gettext("The photo can't be loaded. Reload the page to try again.");
  (img.closest("figure") ?? img).after(note);
}
const LARGE = ".shown > img, #shown-photo";
const PHOTOS = `.grid img, .thumbnails img, ${LARGE}`;
document.addEventListener("error", (event) => event.target.matches?.(PHOTOS) && replace(event.target), true);
for (const img of document.querySelectorAll(PHOTOS)) {
  if (img.complete && !img.naturalWidth) replace(img);
}
