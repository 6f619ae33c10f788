// The photo in full size. The wheel, two fingers, double clicks and keys zoom. Dragging and the arrow keys move a zoomed
// photo; otherwise swiping and the arrow keys lead to the previous and next photos.

import { follow, isSwipe } from "./along.js";

const MOST = 8;
const STEP = 1.5;
const STEP_PX = 80;
const part = (name) => document.getElementById(`viewer-${name}`);
const dialog = document.getElementById("viewer");
const stage = part("stage");
const img = document.getElementById("shown-photo");
const large = document.createElement("img");
large.draggable = false;
stage.prepend(large);
let [scale, x, y] = [1, 0, 0]; // x, y: offset of the photo's centre from the stage's, in pixels of the page
const fingers = new Map();
let start = null;

const within = (value, most) => Math.min(Math.max(value, -most), most);

function place() {
  x = within(x, Math.max(0, (large.offsetWidth * scale - stage.clientWidth) / 2));
  y = within(y, Math.max(0, (large.offsetHeight * scale - stage.clientHeight) / 2));
  large.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  stage.classList.toggle("zoomed", scale > 1);
  part("out").disabled = scale === 1;
  part("in").disabled = scale === MOST;
}

// Zoom around a point of the window: what the photo shows there stays there.
function zoom(to, clientX = stage.clientWidth / 2, clientY = stage.clientHeight / 2) {
  const next = Math.min(Math.max(to, 1), MOST);
  const box = stage.getBoundingClientRect();
  const [fromX, fromY] = [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  x = fromX - ((fromX - x) * next) / scale;
  y = fromY - ((fromY - y) * next) / scale;
  scale = next;
  place();
}

function open() {
  large.src = img.currentSrc || img.src; // the explanation, if it is shown
  large.alt = img.alt;
  [scale, x, y] = [1, 0, 0];
  dialog.showModal();
  place();
}

document.getElementById("enlarge").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open();
});
dialog.addEventListener("close", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  if (location.hash) history.replaceState(history.state, "", location.pathname + location.search);
});
part("close").onclick = () => dialog.close();
part("in").onclick = () => zoom(scale * STEP);
part("out").onclick = () => zoom(scale / STEP);
part("full").hidden = !document.fullscreenEnabled;
part("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen());
addEventListener("resize", () => {
  if (dialog.open) place();
});

dialog.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's zoom
  const factor = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: 1 / scale }[event.key];
  const [right, down] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
  if (factor) zoom(scale * factor);
  else if (scale > 1 && (right || down)) {
    [x, y] = [x + right * STEP_PX, y + down * STEP_PX];
    place();
  } else return;
  event.preventDefault();
  event.stopPropagation();
});
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(scale * Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
}, { passive: false });
stage.addEventListener("dblclick", (event) => {
  if (!event.target.closest(".tools")) zoom(scale > 1 ? 1 : STEP ** 3, event.clientX, event.clientY);
});

function span() {
  const [a, b] = [...fingers.values()];
  return { px: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 };
}
stage.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest(".tools")) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event);
  start = fingers.size === 1 && scale === 1 ? event : null;
});
stage.addEventListener("pointermove", (event) => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const before = fingers.size === 2 ? span() : null;
  fingers.set(event.pointerId, event);
  if (before) {
    const now = span();
    zoom((scale * now.px) / before.px, now.x, now.y);
  } else if (fingers.size === 1 && scale > 1) {
    [x, y] = [x + event.clientX - last.clientX, y + event.clientY - last.clientY];
    place();
  }
});
stage.addEventListener("pointerup", (event) => {
  if (start && scale === 1 && event.pointerType !== "mouse" && isSwipe(start, event)) {
    follow(event.clientX < start.clientX ? "#viewer-after" : "#viewer-before");
  }
  start = null;
  fingers.delete(event.pointerId);
});
stage.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));

if (location.hash === "#large") open();
