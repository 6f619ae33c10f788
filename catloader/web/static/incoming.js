// Photos that are dropped anywhere on a page, or pasted.

import { filesOf } from "./dropped.js";
import { gettext } from "./texts.js";

const hasFiles = (transfer) => [...(transfer?.types ?? [])].includes("Files");

const isField = (target) => target.matches?.("input:not([type=file]), textarea");

// Office programs copy text together with an image of it. Copied photos come without text, or only with a name.
function isText({ target, clipboardData: { types } }) {
  return isField(target) && types.includes("text/plain") && types.includes("text/html");
}

// `take` is called with the { files, sentence } of filesOf(). `inFields`: also for photos pasted into a text field.
export function receiveFiles(take, inFields = true) {
  let isOwn = false; // a part of this page is dragged: browsers offer its thumbnails as files, too
  const isOverFileField = (target) => target.matches?.("input[type=file]"); // the browser handles such a drop
  const bringsFiles = ({ dataTransfer, target }) => !isOwn && hasFiles(dataTransfer) && !isOverFileField(target);
  const sign = document.createElement("div");
  sign.className = "drop-sign";
  sign.textContent = gettext("Drop your photos to upload them");
  sign.hidden = true;
  document.body.append(sign);

  window.addEventListener("dragstart", () => (isOwn = true));
  window.addEventListener("dragend", () => (isOwn = false));
  window.addEventListener("dragenter", (event) => (sign.hidden = !bringsFiles(event)));
  // The browser handles text that is dropped into a field.
  window.addEventListener("dragover", (event) => bringsFiles(event) && event.preventDefault()); // otherwise a drop would open the file
  window.addEventListener("dragleave", (event) => (sign.hidden ||= event.relatedTarget === null));
  window.addEventListener("drop", (event) => {
    if (!bringsFiles(event)) return;
    event.preventDefault();
    sign.hidden = true;
    filesOf(event.dataTransfer).then(take);
  });
  window.addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length || isText(event) || (isField(event.target) && !inFields) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    filesOf(event.clipboardData).then(take);
  });
}
