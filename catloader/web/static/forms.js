// Every page: a form is sent once, however often its button is pressed; passwords can be shown; links and secrets
// can be copied; a photo whose file is missing has a drawing in its place. The site is told the time zone.

import { gettext } from "./texts.js";

// What a page shows only once must not be made again, or replaced, by a reload, which would send the form again.
const { reload } = document.body.dataset;
if (reload) history.replaceState(history.state, "", reload);

// My photos are grouped by the months of this zone.
if (document.body.dataset.account) document.cookie = `catloader_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;

const AGAIN_MS = 10000; // an answer that takes longer may be lost; then the button works again

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  const sent = Number(form.dataset.sent ?? 0);
  if (Date.now() - sent < AGAIN_MS) event.preventDefault();
  else form.dataset.sent = Date.now();
});
// The browser's Back button brings a page back as it was left.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

for (const field of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "show-password";
  const settle = () => {
    button.textContent = field.type === "password" ? gettext("Show") : gettext("Hide");
    const what = document.createElement("span");
    what.className = "unseen";
    what.textContent = ` ${field.labels[0]?.textContent ?? ""}`;
    button.append(what);
  };
  button.onclick = () => {
    field.type = field.type === "password" ? "text" : "password";
    settle();
    field.focus();
  };
  settle();
  field.classList.add("with-button");
  field.after(button);
  // Password managers know fields of passwords only.
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
      select(shown); // browsers without the clipboard, and pages without https
      if (!document.execCommand("copy")) return; // it stays selected
    }
    button.textContent = gettext("Copied");
  };
  shown.after(button);
}

function replace(img) {
  if (img.classList.contains("missing")) return;
  img.classList.add("missing");
  img.removeAttribute("srcset"); // browsers choose from it, whatever `src` is
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
