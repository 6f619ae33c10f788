// Send one file in pieces (tus 1.0). After an interruption, continue at the offset that the site reports.

import { LOGGED_OUT } from "./form-token.js";
import { gettext } from "./texts.js";

const PIECE_BYTES = 1048576; // an interruption loses at most one piece
const LEAST_BYTES = 65536; // smallest piece, after repeated interruptions
const LONGEST_WAIT_S = 30;
const SLOW_MS = 15000; // after a slower piece, the size is not increased, because a larger piece might stall
const STALLED_S = 60; // without progress or response, for example after a phone has changed its network
const TRIES = 15; // while the site is busy: about a minute, with a Retry-After of 2 to 5 seconds
const BUSY = [429, 502, 503, 504];
const TIMEOUTS = 3; // of a file in one request, which can't be made smaller
const TOO_SLOW = 408; // from the site or a proxy, which closes the connection: the piece took too long
const NO_PATCH = [403, 405, 501]; // of a proxy or firewall that does not allow PATCH; the site itself never responds so
const TOO_LARGE = [400, 403, 413]; // of a proxy or firewall with a limit for bodies; those of the site have its header

let most = PIECE_BYTES; // largest piece that no proxy has refused
let byPost = false; // whether pieces are sent by POST, because PATCH was refused

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

// Resolve to the request when it has ended, successfully or not. A stalled request is aborted: its status is 0.
function ask(row, method, url, headers, body, onprogress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    let stall = 0;
    const watch = () => {
      clearTimeout(stall);
      stall = setTimeout(() => request.abort(), STALLED_S * 1000);
    };
    request.upload.onprogress = (event) => {
      watch();
      onprogress(event.loaded);
    };
    request.onloadend = () => {
      clearTimeout(stall);
      resolve(request);
    };
    row.aborted = false;
    row.abort = () => {
      row.aborted = true;
      request.abort();
    };
    request.send(body);
    watch();
  });
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return {};
  }
}

export const unreadable = () => gettext("This file can't be read any more: it was moved, changed or deleted. Choose it again.");

// Return false if the file was moved, changed or deleted: such a request ends like one that lost its connection.
export async function isReadable(body) {
  try {
    await new Response(body.slice(0, 1)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

function facts(row, form) {
  const pairs = [`filename ${base64(row.file.name)}`, `caption ${base64(row.text())}`];
  if (row.square) pairs.push(`square ${base64(row.square)}`);
  if (form.elements.keep_date.checked) pairs.push("keep_date");
  return pairs.join(",");
}

export function giveUp(url, token) {
  fetch(url, { method: "DELETE", keepalive: true, headers: { "Tus-Resumable": "1.0.0", "X-CSRFToken": token } }).catch(() => {});
}

// Resolve to { photo, duplicate }; to { sentence, again } if the file is not stored; to null if it was cancelled.
// `row` has file, key, url (of the upload, once it has begun), caption, progress(bytes) and note(sentence).
export async function send(row, form, token, run) {
  const { file } = row;
  let offset = 0;
  let known = !row.begun; // whether `offset` is that of the site
  let piece = most;
  let cuts = 0;
  let busy = 0;
  let refreshed = false;
  let timeouts = 0;
  let lost = 0; // how often the site did not know the upload
  for (;;) {
    await run.going();
    if (run.isOver(row)) return null;
    const rest = file.size - offset;
    const whole = lost > 1; // pieces may reach different machines, so send one request
    let size = whole ? rest : Math.min(piece, most, rest);
    if (known && size === rest && !run.isTurn(row)) {
      if (rest > 1 && !whole) size = rest - 1;
      else {
        await run.turn(row);
        continue;
      }
    }
    row.finishing = known && size === rest;
    const sentToken = token.current();
    const headers = { Accept: "application/json", "Tus-Resumable": "1.0.0", "X-CSRFToken": sentToken };
    const body = known ? file.slice(offset, offset + size) : null;
    const goesOn = row.url && known;
    const method = row.url && !known ? "HEAD" : goesOn && !byPost ? "PATCH" : "POST";
    if (!row.url) Object.assign(headers, { "Upload-Length": file.size, "Idempotency-Key": row.key });
    if (goesOn) headers["Upload-Offset"] = offset;
    if (goesOn && byPost) headers["X-HTTP-Method-Override"] = "PATCH";
    if (method !== "HEAD") headers["Upload-Metadata"] = facts(row, form);
    if (body) headers["Content-Type"] = "application/offset+octet-stream";
    row.begun = true;
    const start = offset;
    const begunMs = performance.now();
    const request = await ask(row, method, row.url || form.dataset.resumable, headers, body, (sent) => row.progress(start + sent));
    const { status } = request;
    const content = parsed(request);
    const received = request.getResponseHeader("Upload-Offset"); // null: the response is not of the site
    if (status === 0 || status === TOO_SLOW) {
      known = false;
      if (row.aborted) continue;
      if (body && !(await isReadable(body))) return { sentence: unreadable() };
      if (whole && status === TOO_SLOW && (timeouts += 1) >= TIMEOUTS) return { sentence: gettext("This took too long. Please try again."), again: true };
      piece = Math.max(LEAST_BYTES, piece / 2);
      const note = status === TOO_SLOW ? gettext("The site is busy. Trying again in a moment …") : gettext("Connection lost. The upload continues when the connection is back.");
      row.note(note);
      await run.wait(Math.min(LONGEST_WAIT_S, 0.5 * 2 ** cuts * (1 + Math.random())));
      cuts += 1;
    } else if (status < 300 && received !== null) {
      cuts = 0;
      if (body) {
        busy = 0;
        if (performance.now() - begunMs < SLOW_MS) piece = Math.min(PIECE_BYTES, 2 * piece);
      }
      row.url = request.getResponseHeader("Location") ?? row.url;
      offset = Number(received);
      known = true;
      row.progress(offset);
      const photo = request.getResponseHeader("Photo-Id");
      if (photo) return { photo, duplicate: Boolean(request.getResponseHeader("Duplicate-Of")) };
    } else if (row.url && (status === 404 || status === 410)) {
      lost += 1;
      row.url = "";
      offset = 0;
      known = true;
    } else if (status === 409 || status === 423) {
      known = false;
      await run.wait(status === 423 ? 1 : 0);
    } else if ((BUSY.includes(status) || status < 300) && (busy += 1) < TRIES) {
      known = false;
      row.note(gettext("The site is busy. Trying again in a moment …"));
      const seconds = Number(request.getResponseHeader("Retry-After")) || 5;
      await run.wait(seconds * (1 + Math.random())); // random, so that clients do not retry together
    } else if (method === "PATCH" && NO_PATCH.includes(status)) {
      byPost = true;
      known = false;
    } else if (TOO_LARGE.includes(status) && !request.getResponseHeader("Tus-Resumable") && body && size > LEAST_BYTES && !whole) {
      most = Math.max(LEAST_BYTES, Math.floor(size / 2));
      known = false;
    } else if ((status === 401 || content.expired) && !refreshed) {
      // The person may have logged in anew while the request was sent with the cookie of an ended session. The upload
      // of another file may have fetched a new token meanwhile.
      const reason = token.current() === sentToken ? await token.renew() : "";
      refreshed = true;
      known = false;
      if (reason) run.stop(reason);
    } else if (status === 401) {
      run.stop(LOGGED_OUT);
    } else {
      const again = status < 300 || status >= 500 || status === 429 || content.expired || content.kind === "QuotaReached"; // may work after photos were deleted
      return { sentence: content.error ?? gettext("That did not work. Please try again."), again };
    }
  }
}
