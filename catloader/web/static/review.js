// One key for each decision, unless the box is not ticked. In the note keys write; Escape leaves it.

const KEYS = { c: "decide-cat", n: "decide-not-cat", s: "skip", u: "undo", h: "explain-link" };
const OFF = "catloader-no-keys";
const note = document.getElementById("note");
const box = document.getElementById("keys");
let sent = false;

// Somebody who dictates, or whose hand slips, decides nothing by chance (WCAG 2.1.4); the choice stays in this browser.
try {
  box.checked = localStorage.getItem(OFF) === null;
} catch {
  // a browser that keeps nothing
}
box.addEventListener("change", () => {
  try {
    if (box.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "yes");
  } catch {
    // as above: the choice is for this page
  }
});

note?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") note.blur();
});

document.addEventListener("keydown", (event) => {
  if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input:not([type=checkbox]), textarea")) return;
  const key = event.key.toLowerCase();
  if (key === "m" && note) {
    event.preventDefault();
    note.focus();
    return;
  }
  const target = document.getElementById(KEYS[key] ?? "");
  if (!target || sent) return;
  if (key !== "h") sent = true; // a second key must not decide a photo that nobody has seen
  target.click();
});
window.addEventListener("pageshow", () => (sent = false));
