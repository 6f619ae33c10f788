// One key for each decision. In the note keys write; Escape leaves it.

const KEYS = { c: "decide-cat", n: "decide-not-cat", s: "skip", u: "undo", h: "explain-link" };
const note = document.getElementById("note");
let sent = false;

note?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") note.blur();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("input, textarea")) return;
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
