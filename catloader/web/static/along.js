// Go from photo to photo with the arrow keys or by swiping, back to My photos with Escape, and to the Delete button
// with Delete.

const SWIPE_PX = 60;

export function follow(selector) {
  const link = document.querySelector(selector);
  if (link) location.assign(link.href);
}

export function isSwipe(start, end) {
  const [x, y] = [end.clientX - start.clientX, end.clientY - start.clientY];
  return Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y);
}

const ON_PAGE = { ArrowLeft: "#before", ArrowRight: "#after", Escape: ".along .back" };
const IN_FULL_SIZE = { ArrowLeft: "#viewer-before", ArrowRight: "#viewer-after" }; // Escape closes the dialog

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.closest("input, textarea, select, [tabindex]")) return; // arrows move the cursor there, or scroll
  const box = document.querySelector("details.delete");
  if (event.key === "Delete" && box && !document.querySelector("dialog[open]")) {
    box.open = true; // opens the question; nothing is deleted yet
    box.querySelector("button").focus();
  }
  const target = (document.querySelector("dialog[open]") ? IN_FULL_SIZE : ON_PAGE)[event.key];
  if (target) follow(target);
});

const swiped = document.querySelector("article.photo figure, article.shown > img");
let start = null;
swiped?.addEventListener("touchstart", (event) => {
  // Two fingers zoom, and one finger moves a zoomed photo.
  start = event.touches.length === 1 && (window.visualViewport?.scale ?? 1) === 1 ? event.touches[0] : null;
}, { passive: true });
swiped?.addEventListener("touchend", (event) => {
  if (!start) return;
  const [end] = event.changedTouches;
  if (isSwipe(start, end)) follow(end.clientX < start.clientX ? "#after" : "#before");
  start = null;
});
