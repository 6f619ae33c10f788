// Decide with single keys, if the box is ticked. In the note, keys type text; Escape leaves the note.

const KEYS = { c: "decide-cat", n: "decide-not-cat", s: "skip", u: "undo", h: "explain-link" };
const OFF = "catloader-no-keys";
const note = document.getElementById("note");
const box = document.getElementById("keys");
let sent = false;

// People who dictate, or press keys by accident, can switch the keys off (WCAG 2.1.4). This browser stores the choice.
try {
  if (!box.checked) localStorage.setItem(OFF, "yes"); // unticked before this script ran
  else box.checked = localStorage.getItem(OFF) === null;
} catch {
  // the browser stores nothing
}
box.addEventListener("change", () => {
  try {
    if (box.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "yes");
  } catch {
    // the choice is valid for this page only
  }
});

note?.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) note.blur(); // while a word is composed, Escape discards the word
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
  if (key !== "h") sent = true; // a second key would decide a photo that nobody has seen yet
  target.click();
});
window.addEventListener("pageshow", () => (sent = false));
