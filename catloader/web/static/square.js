// Move the square over the photo and pull its corner. The number fields, in pixels of the photo, are what is
// sent; they stay usable with the keyboard.

const figure = document.getElementById("cut");
const square = document.getElementById("square");
const picture = figure.querySelector("img");
const fields = Object.fromEntries(["left", "top", "side"].map((name) => [name, document.getElementById(name)]));
const [width, height] = [Number(picture.getAttribute("width")), Number(picture.getAttribute("height"))];
const least = Number(fields.side.min);

const within = (value, low, high) => Math.min(Math.max(value, low), high);
const place = () => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, Number(field.value)]));

function draw() {
  const { left, top, side } = place();
  square.style.left = `${(100 * left) / width}%`;
  square.style.top = `${(100 * top) / height}%`;
  square.style.width = `${(100 * side) / width}%`;
  square.hidden = false;
}

function put({ left, top, side }) {
  const size = Math.round(within(side, least, Math.min(width, height)));
  fields.side.value = size;
  fields.left.value = Math.round(within(left, 0, width - size));
  fields.top.value = Math.round(within(top, 0, height - size));
  draw();
}

let drag = null;
figure.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("#square") || event.button) return;
  event.preventDefault();
  figure.setPointerCapture(event.pointerId);
  drag = { x: event.clientX, y: event.clientY, pulls: event.target.matches(".grip"), from: place() };
});
figure.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const scale = width / picture.clientWidth; // pixels of the photo in one of the page
  const [x, y] = [(event.clientX - drag.x) * scale, (event.clientY - drag.y) * scale];
  const { left, top, side } = drag.from;
  // A corner that is pulled leaves the opposite one where it is.
  if (drag.pulls) put({ left, top, side: Math.min(side + Math.max(x, y), width - left, height - top) });
  else put({ left: left + x, top: top + y, side });
});
for (const end of ["pointerup", "pointercancel"]) {
  figure.addEventListener(end, () => {
    drag = null;
  });
}
for (const field of Object.values(fields)) {
  field.addEventListener("input", draw);
  field.addEventListener("change", () => put(place()));
}
draw();
