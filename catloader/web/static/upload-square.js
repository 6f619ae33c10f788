// The square of a photo that has not been uploaded yet.

import { squareTool } from "./square-tool.js";

const LEAST_PX = 64; // the same as for stored photos
const part = (name) => document.getElementById(name);
const dialog = part("square-dialog");
const img = part("cut").querySelector("img");
const tool = squareTool(part);
let use = () => {};

const whole = ({ naturalWidth: width, naturalHeight: height }) => {
  const side = Math.min(width, height);
  return { left: Math.round((width - side) / 2), top: Math.round((height - side) / 2), side };
};

// `onChoice` is called with the square in pixels, the image, and the text for the site, in widths of the photo.
// Resolve to false if the photo can't be shown, for example because the file was moved.
export async function chooseSquare(file, before, onChoice) {
  const address = URL.createObjectURL(file);
  img.src = address;
  try {
    await img.decode();
  } catch {
    return img.src !== address; // true: a later click has replaced this photo, and shows its own
  } finally {
    URL.revokeObjectURL(address);
  }
  const { naturalWidth: width, naturalHeight: height } = img;
  use = () => {
    const square = tool.place();
    onChoice(square, img, [square.left, square.top, square.side].map((px) => (px / width).toFixed(6)).join(","));
  };
  dialog.showModal();
  tool.open({ width, height, least: Math.min(LEAST_PX, width, height) }, before ?? whole(img));
  return true;
}

part("square-use").addEventListener("click", () => {
  use();
  dialog.close();
});
part("square-close").addEventListener("click", () => dialog.close());
