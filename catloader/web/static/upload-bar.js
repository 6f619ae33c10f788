// The bar that is always in sight while photos are sent: how far all of them are, and how long it may take.

import { gettext } from "./texts.js";
import { size } from "./upload-row.js";

const EVERY_MS = 500;
const STILL_MS = 3000; // without a byte: then "offline" of the browser is believed; on a VPN it may be wrong
const SMOOTH = 0.15; // weight of the newest half second in the rate
const FIRST = 4; // half seconds before the time left is shown: the first ones say little

function left(seconds) {
  if (seconds < 10) return gettext("a few seconds left");
  if (seconds < 90) return gettext("%(number)d s left", { number: 10 * Math.round(seconds / 10) });
  return seconds < 5400 ? gettext("%(number)d min left", { number: Math.round(seconds / 60) }) : gettext("%(number)d h left", { number: Math.round(seconds / 3600) });
}

export function showProgress(rows, run) {
  const box = document.getElementById("overall");
  const bar = document.getElementById("overall-bar");
  const text = document.getElementById("overall-text");
  let before = null;
  let rate = 0; // bytes in half a second
  let halves = 0; // seconds measured
  let movedAt = Date.now();

  function show(isTick = false) {
    const chosen = rows.filter((row) => row.state !== "removed");
    const total = chosen.reduce((sum, row) => sum + row.file.size, 0);
    const done = chosen.reduce((sum, row) => sum + (row.isSettled ? row.file.size : row.sent), 0);
    const finished = chosen.filter((row) => row.isSettled).length;
    before ??= done;
    if (isTick) {
      if (!run.paused) rate += Math.max(SMOOTH, 1 / ++halves) * (Math.max(0, done - before) - rate); // their mean at first
      if (done !== before) movedAt = Date.now();
      before = done;
    }
    bar.max = total || 1;
    bar.value = done;
    const parts = [[finished, chosen.length], [size(done), size(total)]].map(([used, most]) => gettext("%(used)s of %(most)s", { used, most }));
    if (run.paused) parts.push(gettext("paused"));
    else if (!navigator.onLine && Date.now() - movedAt > STILL_MS) parts.push(gettext("waiting for the connection"));
    else if (halves >= FIRST && rate > 0) parts.push(left(((total - done) / rate) * (EVERY_MS / 1000)));
    text.textContent = parts.join(" · ");
  }

  box.hidden = false;
  show();
  const timer = setInterval(() => show(true), EVERY_MS);
  return {
    show,
    close() {
      clearInterval(timer);
      box.hidden = true;
    },
  };
}
