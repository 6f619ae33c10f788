// Enhance the plain upload form: drag and drop, previews, a caption and a progress bar per file.
// Files are sent in pieces, two files at a time: a refused file does not affect the others, and an interruption
// costs little.

import { offerCamera } from "./camera.js";
import { LOGGED_OUT, formToken } from "./form-token.js";
import { receiveFiles } from "./incoming.js";
import { giveUp, send } from "./resumable.js";
import { takeBrought, takeSentence, takeShared } from "./shared.js";
import { settled } from "./this-account.js";
import { gettext, ngettext } from "./texts.js";
import { showProgress } from "./upload-bar.js";
import { element, makeRow } from "./upload-row.js";
import { makeRun } from "./upload-run.js";

const TOGETHER = 2;
const form = document.getElementById("upload");
const list = document.getElementById("queue");
const button = document.getElementById("send-button");
const pauseButton = document.getElementById("pause-button");
const cancelButton = document.getElementById("cancel-button");
const doneLink = document.getElementById("done-link");
const news = document.getElementById("progress-news");
const folded = document.getElementById("folded");
const foldButton = document.getElementById("fold-button");
const captionOfAll = document.getElementById("caption");
const captionBox = document.getElementById("caption-box");
const maxBytes = Number(form.dataset.maxBytes);
const token = formToken(form);
const notice = document.getElementById("notice");

let rows = [];
let run = null; // while photos are sent
let stopped = ""; // the sentence with which the last run was ended for all files

function add(files, origin = "") {
  for (const file of files) {
    const row = makeRow(file, captionOfAll);
    if (origin) row.item.querySelector(".line").after(element("p", { className: "hint", textContent: origin }));
    row.remove.onclick = () => remove(row);
    rows.push(row);
    list.append(row.item);
    if (file.size > maxBytes) row.end("refused", gettext("This file is larger than %(limit)s.", { limit: form.dataset.limit }));
  }
  settle();
}

function remove(row) {
  const next = row.item.nextElementSibling ?? row.item.previousElementSibling;
  rows = rows.filter((other) => other !== row);
  row.item.remove();
  const wasSending = row.state === "sending";
  row.state = "removed";
  if (wasSending) {
    row.abort();
    run.wake();
  }
  if (row.url) giveUp(row.url, token.current());
  settle();
  (next?.querySelector(".remove:not([hidden])") ?? document.getElementById("photos")).focus();
}

function settle() {
  const of = (...states) => rows.filter((row) => states.includes(row.state)).length;
  const open = of("waiting", "failed");
  button.disabled = open === 0;
  button.hidden = run !== null || (rows.length > 0 && open === 0);
  if (of("failed")) button.textContent = ngettext("Try %(num)d photo again", "Try %(num)d photos again", open);
  else button.textContent = open ? ngettext("Upload %(num)d photo", "Upload %(num)d photos", open) : gettext("Upload");
  pauseButton.hidden = cancelButton.hidden = run === null;
  doneLink.hidden = run !== null || of("stored") === 0;
  captionBox.classList.toggle("shown", run === null && open > 1);
  fold();
  return { open, stored: of("stored"), refused: of("refused") };
}

// Hide the rows of stored photos behind a button.
function fold() {
  const number = rows.filter((row) => row.state === "stored" && !row.duplicate).length;
  const isOpen = foldButton.ariaExpanded === "true";
  folded.hidden = number === 0;
  list.classList.toggle("folding", !isOpen);
  foldButton.textContent = isOpen ? gettext("Hide stored photos") : ngettext("Show %(num)d stored photo", "Show %(num)d stored photos", number);
}

function end(row, state, sentence) {
  if (row.item.contains(document.activeElement)) pauseButton.focus({ preventScroll: true });
  row.end(state, sentence);
  if (state === "refused" || state === "failed") { // move the row to the top, below earlier ones
    const places = new Map(rows.map((other, place) => [other.item, place])); // one map, because a folder may have a thousand photos
    const isAfter = (item) => !item.classList.contains("refused-file") || places.get(item) > places.get(row.item);
    const next = [...list.children].find((item) => item !== row.item && isAfter(item));
    list.insertBefore(row.item, next ?? null);
  }
  settle();
}

// Show a sentence about all files, above the list.
function say(sentence) {
  notice.hidden = !sentence;
  notice.textContent = sentence;
  if (sentence !== LOGGED_OUT) return;
  const link = element("a", { href: form.dataset.login, target: "_blank", textContent: gettext("Log in in a new tab") });
  const then = gettext("Your photos and captions are still here. Log in, then press “%(button)s”.", { button: button.textContent });
  notice.append(` ${then} `, link);
}

// The focus after an upload: send the rest, see the stored photos, or remove the first refused file.
function nextStep() {
  const usable = [button, doneLink, list.querySelector(".remove:not([hidden])")].filter((target) => target && !target.hidden && !target.disabled);
  return usable[0] ?? document.getElementById("photos");
}

async function sendRow(row) {
  row.begin();
  const result = await send(row, form, token, run);
  if (row.state === "removed") return;
  if (result?.photo) {
    row.duplicate = result.duplicate;
    end(row, "stored", row.duplicate ? gettext("Stored again. You already had this photo.") : gettext("Stored."));
  } else if (result) end(row, result.again ? "failed" : "refused", result.sentence);
  else if (run.stopped) row.end("failed", gettext("Not uploaded yet."));
  else row.end("waiting");
}

// Send one file after another; several lanes share the list.
async function lane(todo, bar) {
  for (let row = todo.shift(); row; row = todo.shift()) {
    if (!run.isOver(row)) await sendRow(row);
    row.isSettled = true;
    row.settle();
    bar.show();
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const todo = rows.filter((row) => row.state === "waiting" || row.state === "failed");
  if (!todo.length || run) return;
  for (const row of todo) row.isSettled = false;
  run = makeRun(todo);
  stopped = "";
  say("");
  news.className = "unseen"; // only for screen readers: the bar is visible
  news.textContent = ngettext("Uploading %(num)d photo.", "Uploading %(num)d photos.", todo.length);
  pauseButton.textContent = gettext("Pause");
  settle();
  pauseButton.focus({ preventScroll: true });
  const bar = showProgress([...todo], run);
  const waiting = [...todo];
  await Promise.all(Array.from({ length: TOGETHER }, () => lane(waiting, bar)));
  bar.close();
  run.close();
  stopped = run.stopped;
  const { cancelled } = run;
  run = null;
  const { stored, refused, open } = settle();
  say(stopped);
  const had = rows.filter((row) => row.duplicate).length;
  const others = refused + open;
  const outcome = others
    ? ngettext("%(num)d photo stored, %(others)d not stored.", "%(num)d photos stored, %(others)d not stored.", stored, { others })
    : ngettext("%(num)d photo stored.", "%(num)d photos stored.", stored);
  const copies = stored === 1
    ? gettext("The stored photo is another copy of a photo that you already had.")
    : ngettext("%(num)d of the stored photos is another copy of a photo that you already had.",
      "%(num)d of the stored photos are further copies of photos that you already had.", had);
  news.textContent = had ? `${outcome} ${copies}` : outcome;
  news.className = "outcome";
  if (stored && !refused && !open && !had && !cancelled) location.assign(form.dataset.photos);
  else nextStep().focus({ preventScroll: true });
});

pauseButton.addEventListener("click", () => {
  if (run.paused) run.goOn();
  else run.pause();
  pauseButton.textContent = run.paused ? gettext("Continue") : gettext("Pause");
});
cancelButton.addEventListener("click", () => run.cancel());
captionOfAll.addEventListener("input", () => {
  for (const row of rows) row.caption.placeholder = captionOfAll.value || gettext("Caption");
});

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = ""; // so that a removed photo can be chosen again
  });
  if (input.files.length) { // restored by the browser after a reload
    add(input.files);
    input.value = "";
  }
}

foldButton.addEventListener("click", () => {
  foldButton.ariaExpanded = String(foldButton.ariaExpanded !== "true");
  fold();
});
receiveFiles(({ files, sentence }) => {
  add(files);
  say(sentence);
});
window.addEventListener("beforeunload", (event) => {
  if (rows.some((row) => ["waiting", "sending", "failed"].includes(row.state))) event.preventDefault();
});
document.addEventListener("visibilitychange", async () => {
  // The person is back from the tab with the log-in page.
  if (document.hidden || stopped !== LOGGED_OUT || run || (await token.renew())) return;
  stopped = "";
  say("");
});
settle();
offerCamera(document.getElementById("camera"), (photo) => add([photo]));
settled.then(() => {
  // Any site can send a request that looks like a share, so these photos are marked.
  takeShared().then((files) => add(files, gettext("Shared with CatLoader by another app")));
  takeBrought().then((files) => add(files));
  const sentence = takeSentence();
  if (sentence) say(sentence);
});
