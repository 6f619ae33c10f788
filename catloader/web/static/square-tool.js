// A square over a photo, to be dragged or resized by its corner. Number fields have its place in pixels of the
// photo, and can be changed with the keyboard.

const within = (value, low, high) => Math.min(Math.max(value, low), high);

// `part(name)` returns an element: "cut" contains the photo and "square"; "left", "top" and "side" are the fields.
// Returns { open({ width, height, least }, place), place() }.
export function squareTool(part) {
  const figure = part("cut");
  const square = part("square");
  const img = figure.querySelector("img");
  const fields = Object.fromEntries(["left", "top", "side"].map((name) => [name, part(name)]));
  let [width, height, least] = [1, 1, 1];
  let drag = null;

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

  figure.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".square") || event.button) return;
    event.preventDefault();
    figure.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, resizes: event.target.matches(".grip"), from: place() };
  });
  figure.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const scale = width / img.clientWidth; // pixels of the photo per pixel of the page
    const [x, y] = [(event.clientX - drag.x) * scale, (event.clientY - drag.y) * scale];
    const { left, top, side } = drag.from;
    // When a corner is pulled, the opposite corner does not move.
    if (drag.resizes) put({ left, top, side: Math.min(side + Math.max(x, y), width - left, height - top) });
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
  return {
    place,
    open(size, wish) {
      ({ width, height, least } = size);
      Object.assign(fields.left, { min: 0, max: width - least });
      Object.assign(fields.top, { min: 0, max: height - least });
      Object.assign(fields.side, { min: least, max: Math.min(width, height) });
      put(wish);
    },
  };
}
