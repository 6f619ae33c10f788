// Select photos: a bar shows their number, a button selects all of the page, Shift a range, Escape none. Delete opens the
// page that asks for confirmation.

import { gettext, ngettext } from "./texts.js";

const form = document.getElementById("selection");
const boxes = form ? [...form.querySelectorAll("input.select")] : [];
const all = document.getElementById("select-all");
const count = document.getElementById("selected-count");
let last = null;

function settle() {
  const number = boxes.filter((box) => box.checked).length;
  form.classList.toggle("selecting", number > 0);
  count.textContent = number ? ngettext("%(num)d selected", "%(num)d selected", number) : "";
  all.textContent = number === boxes.length ? gettext("Select none") : gettext("Select all on this page");
}

function select(some, checked) {
  for (const box of some) box.checked = checked;
  settle();
}

form?.addEventListener("click", (event) => {
  const box = event.target.closest("input.select");
  if (!box) return;
  if (event.shiftKey && last && last !== box) {
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
    select(boxes.slice(from, to + 1), box.checked);
  }
  last = box;
  settle();
});
all?.addEventListener("click", () => select(boxes, !boxes.every((box) => box.checked)));
document.addEventListener("keydown", (event) => {
  if (!boxes.some((box) => box.checked)) return;
  if (event.key === "Escape") select(boxes, false);
  if (event.key === "Delete" && !event.target.matches("input:not(.select)")) form.querySelector("[value=delete]").click();
});
// Boxes are still ticked when the browser's Back button restores the page.
if (form) window.addEventListener("pageshow", settle);

// The menu of months closes with Escape and when the focus leaves it.
const months = document.getElementById("months");
months?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !months.open) return;
  months.open = false;
  months.querySelector("summary").focus();
});
months?.addEventListener("focusout", (event) => {
  if (event.relatedTarget && !months.contains(event.relatedTarget)) months.open = false;
});
