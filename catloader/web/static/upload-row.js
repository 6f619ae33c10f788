// A row of the upload page: preview, caption, progress, and the result of one file.

import { gettext, locale } from "./texts.js";
import { isReadable, unreadable } from "./resumable.js";
import { chooseSquare } from "./upload-square.js";

export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const oneDecimal = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
export const size = (bytes) => (bytes >= 1048576 ? `${(bytes / 1048576).toLocaleString(locale, oneDecimal)} MB` : `${bytes && Math.max(1, Math.round(bytes / 1024))} kB`);

function preview(file, shown) {
  const placeholder = element("span", { className: "preview none" });
  const img = element("img", { className: "preview", alt: "" });
  img.onload = () => {
    URL.revokeObjectURL(img.src);
    shown();
  };
  img.onerror = () => {
    URL.revokeObjectURL(img.src);
    img.replaceWith(placeholder); // most browsers can't show HEIC and TIFF, which the site accepts
  };
  img.src = URL.createObjectURL(file);
  return img;
}

// The idempotency key of a file, so that a repeated upload makes no second photo.
function randomKey() {
  // randomUUID exists only with https.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Long names are shortened in the middle, because the end shows the type of the file.
function shownName(name) {
  const letters = [...name];
  const head = element("span", { className: "head", textContent: letters.slice(0, -8).join("") });
  return element("bdi", { className: "name", title: name }, head, letters.slice(-8).join(""));
}

// state: "waiting" | "sending" | "stored" | "refused" | "failed" | "removed"
export function makeRow(file, captionOfAll) {
  const row = { file, key: randomKey(), state: "waiting", url: "", square: "", isShown: false, begun: false, sent: 0, finishing: false, isSettled: false, abort() {} };
  const { name } = file;
  row.caption = element("input", { className: "caption-field", type: "text", maxLength: 500, dir: "auto", placeholder: captionOfAll.value || gettext("Caption"), autocomplete: "off" });
  row.caption.setAttribute("aria-label", gettext("Caption of %(name)s", { name }));
  row.status = element("p", { className: "state", hidden: true });
  row.bar = element("progress", { max: 1, value: 0, hidden: true });
  row.bar.setAttribute("aria-label", gettext("Upload of %(name)s", { name }));
  row.caption.onkeydown = (event) => {
    // While a Japanese, Chinese or Korean word is composed, Enter accepts the word. Safari reports only the code 229.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    event.preventDefault(); // go to the next caption instead of sending the form
    row.item.nextElementSibling?.querySelector(".caption-field")?.focus();
  };
  row.remove = element("button", { className: "remove", type: "button" });
  row.remove.setAttribute("aria-label", gettext("Remove %(name)s", { name }));
  row.crop = element("button", { className: "crop", type: "button", textContent: gettext("Square crop"), hidden: true });
  row.crop.append(element("span", { className: "unseen", textContent: ` ${name}` }));
  const cut = (place, img, text) => {
    Object.assign(row, { place, square: text });
    const shown = element("canvas", { className: "preview", width: 112, height: 112 });
    shown.getContext("2d").drawImage(img, place.left, place.top, place.side, place.side, 0, 0, 112, 112);
    row.item.querySelector(".preview").replaceWith(shown);
  };
  row.crop.onclick = async () => {
    if (await chooseSquare(file, row.place, cut)) return;
    row.note((await isReadable(file)) ? gettext("That did not work. Please try again in a moment.") : unreadable());
  };
  const line = element("div", { className: "line" }, shownName(name), element("span", { className: "size", textContent: size(file.size) }));
  const texts = element("div", { className: "said" }, row.caption, row.crop);
  const content = element("div", { className: "what" }, line, texts, row.bar, row.status);
  row.item = element("li", {}, preview(file, () => {
    row.isShown = true;
    row.crop.hidden = row.caption.hidden;
  }), content, row.remove);

  row.text = () => row.caption.value || captionOfAll.value;
  row.progress = (bytes) => {
    row.sent = bytes;
    row.bar.value = file.size ? bytes / file.size : 0;
    row.bar.hidden = false;
    row.status.hidden = true;
    row.remove.hidden = row.finishing;
  };
  row.note = (sentence) => {
    row.bar.hidden = true;
    row.status.hidden = false;
    row.status.textContent = sentence;
  };
  row.begin = () => {
    row.state = "sending";
    row.progress(row.sent);
    row.caption.hidden = row.crop.hidden = true;
    row.item.classList.remove("refused-file");
  };
  row.end = (state, sentence = "") => {
    row.state = state;
    row.bar.hidden = true;
    row.status.hidden = !sentence;
    row.status.textContent = sentence;
    row.caption.hidden = state === "stored" || state === "refused";
    row.crop.hidden = row.caption.hidden || !row.isShown;
    row.remove.hidden = state === "stored";
    row.item.classList.toggle("stored", state === "stored");
    row.item.classList.toggle("double", Boolean(row.duplicate));
    row.item.classList.toggle("refused-file", state === "refused" || state === "failed");
  };
  return row;
}
