// Enhance the plain upload form: drag and drop, previews, a caption and a progress bar per file.
// Each file is sent in its own request, two at a time, so one refused file does not affect the others.
// While the site is busy it answers 503 with Retry-After: the file is sent again after that time.

import { offerCamera } from "./camera.js";
import { filesOf } from "./dropped.js";
import { LOGGED_OUT, formToken } from "./form-token.js";

const TOGETHER = 2;
const TRIES = 15; // of one file; with the site's Retry-After of 2 to 5 seconds about a minute
const form = document.getElementById("upload");
const list = document.getElementById("queue");
const button = document.getElementById("send-button");
const doneLink = document.getElementById("done-link");
const news = document.getElementById("progress-news");
const dropZone = document.getElementById("drop");
const maxBytes = Number(form.dataset.maxBytes);
const token = formToken(form);
const notice = document.getElementById("notice");

let rows = []; // { file, item, state: "waiting" | "sending" | "stored" | "refused" | "failed" }
let running = 0;
let stopped = ""; // the sentence that ended an upload for all files

function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const size = (bytes) => (bytes >= 1048576 ? `${(bytes / 1048576).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1024))} kB`);
const photos = (n) => (n === 1 ? "1 photo" : `${n} photos`);

function preview(file) {
  const placeholder = element("span", { className: "preview none" });
  const picture = element("img", { className: "preview", alt: "" });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => {
    URL.revokeObjectURL(picture.src);
    picture.replaceWith(placeholder); // HEIC and TIFF: the site reads them, most browsers don't
  };
  picture.src = URL.createObjectURL(file);
  return picture;
}

function add(files) {
  for (const file of files) {
    const row = { file, state: "waiting" };
    row.caption = element("input", { className: "caption-field", type: "text", maxLength: 500, placeholder: "Caption", autocomplete: "off" });
    row.caption.setAttribute("aria-label", `Caption of ${file.name}`);
    row.status = element("p", { className: "state", hidden: true });
    row.bar = element("progress", { max: 1, value: 0, hidden: true });
    row.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    row.remove = element("button", { className: "remove", type: "button" });
    row.remove.setAttribute("aria-label", `Remove ${file.name}`);
    row.remove.onclick = () => {
      rows = rows.filter((other) => other !== row);
      row.item.remove();
      settle();
    };
    const line = element("div", { className: "line" }, element("bdi", { className: "name", textContent: file.name }), element("span", { className: "size", textContent: size(file.size) }));
    const content = element("div", { className: "what" }, line, row.caption, row.bar, row.status);
    row.item = element("li", {}, preview(file), content, row.remove);
    rows.push(row);
    list.append(row.item);
    if (file.size > maxBytes) end(row, "refused", `This file is larger than ${size(maxBytes)}.`);
  }
  settle();
}

function end(row, state, sentence) {
  row.state = state;
  row.bar.hidden = true;
  row.status.hidden = false;
  row.status.textContent = sentence;
  row.caption.hidden = state !== "failed";
  row.remove.hidden = state === "stored";
  row.item.classList.toggle("stored", state === "stored");
  row.item.classList.toggle("refused-file", state === "refused" || state === "failed");
}

function settle() {
  const of = (...states) => rows.filter((row) => states.includes(row.state)).length;
  const open = of("waiting", "failed");
  button.disabled = running > 0 || open === 0;
  button.hidden = rows.length > 0 && open === 0 && running === 0;
  button.textContent = running ? "Uploading…" : of("failed") ? `Try ${photos(open)} again` : open ? `Upload ${photos(open)}` : "Upload";
  doneLink.hidden = running > 0 || of("stored") === 0;
  return { open, stored: of("stored"), refused: of("refused"), sending: of("sending") };
}

// Say a sentence once for all files, above them.
function say(sentence) {
  notice.hidden = !sentence;
  notice.textContent = sentence;
  if (sentence !== LOGGED_OUT) return;
  const link = element("a", { href: form.dataset.login, target: "_blank", textContent: "Log in in a new tab" });
  notice.append(" Your photos and captions are still here: ", link, `, then press “${button.textContent}”.`);
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return {};
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

// Send one file; resolve to the request when it is over, whatever came of it.
function post(row) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", token.current());
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) row.bar.value = event.loaded / event.total;
    };
    request.onloadend = () => resolve(request);
    const body = new FormData();
    body.append("photos", row.file, row.file.name);
    body.append("caption", row.caption.value);
    row.state = "sending";
    row.bar.hidden = false;
    row.caption.hidden = row.status.hidden = row.remove.hidden = true;
    row.item.classList.remove("refused-file");
    request.send(body);
  });
}

// Post it again while the site is busy and says when to come back.
async function postUntilTaken(row) {
  for (let left = TRIES; ; left -= 1) {
    const request = await post(row);
    const retryAfterS = Number(request.getResponseHeader("Retry-After"));
    if (request.status !== 503 || !(retryAfterS > 0) || left === 1 || stopped) return request;
    row.bar.hidden = true;
    row.status.hidden = false;
    row.status.textContent = "The site is busy. Trying again in a moment …";
    await pause(retryAfterS * (1 + Math.random())); // not all at the same moment
  }
}

async function send(row) {
  const used = token.current();
  let request = await postUntilTaken(row);
  if (request.status === 400 && parsed(request).expired) {
    // Another file may have fetched a fresh token meanwhile.
    const reason = token.current() === used ? await token.renew() : "";
    if (reason) stopped = reason;
    else request = await postUntilTaken(row);
  }
  if (request.status === 401) stopped = LOGGED_OUT;
  const response = parsed(request);
  const result = response.files?.[0];
  if (request.status === 0) end(row, "failed", "Connection lost. This photo was not uploaded.");
  else if (result && result.id !== null) {
    row.duplicate = Boolean(result.duplicate_of);
    end(row, "stored", row.duplicate ? "Stored. You already had this photo." : "Stored.");
  }
  else if (stopped) end(row, "failed", "Not uploaded yet.");
  else {
    const retryable = request.status >= 500 || request.status === 429 || response.expired;
    end(row, retryable ? "failed" : "refused", result?.error ?? response.error ?? "That did not work. Please try again.");
  }
}

async function lane(todo) {
  for (let row = todo.shift(); row && !stopped; row = todo.shift()) {
    if (rows.includes(row)) await send(row);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const todo = rows.filter((row) => row.state === "waiting" || row.state === "failed");
  if (!todo.length || running) return;
  running = todo.length;
  stopped = "";
  say("");
  news.textContent = `Uploading ${photos(todo.length)}.`;
  settle();
  await Promise.all(Array.from({ length: TOGETHER }, () => lane(todo)));
  running = 0;
  const { stored, refused, open } = settle();
  say(stopped);
  const had = rows.filter((row) => row.duplicate).length;
  news.textContent = `${photos(stored)} stored, ${refused + open} not stored.${had ? ` You already had ${had} of them.` : ""}`;
  if (stored && !refused && !open && !had) location.assign(form.dataset.photos);
});

for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = ""; // a removed photo may be chosen again
  });
  if (input.files.length) { // restored by the browser after a reload
    add(input.files);
    input.value = "";
  }
}

for (const name of ["dragenter", "dragover"]) {
  dropZone.addEventListener(name, (event) => {
    event.preventDefault();
    dropZone.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) {
  dropZone.addEventListener(name, () => dropZone.classList.remove("over"));
}
// A drop outside the box must not make the browser leave the page to show the file.
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  filesOf(event.dataTransfer).then(({ files, sentence }) => {
    add(files);
    say(sentence);
  });
});
window.addEventListener("beforeunload", (event) => {
  if (running) event.preventDefault();
});
document.addEventListener("visibilitychange", async () => {
  // Back from the tab of the log-in.
  if (document.hidden || stopped !== LOGGED_OUT || running || (await token.renew())) return;
  stopped = "";
  say("");
});
settle();
offerCamera(document.getElementById("camera"), (photo) => add([photo]));
