// The bar that stays visible while photos are sent: total progress, and the estimated time left.

import { gettext } from "./texts.js";
import { size } from "./upload-row.js";

const EVERY_MS = 500;
const STILL_MS = 3000; // after that long without progress, trust the browser's "offline", which may be wrong on a VPN
const SMOOTH = 0.15; // weight of the newest half second in the rate
const FIRST = 4; // half seconds before the time left is shown: the first rates vary

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
  let ticks = 0; // half seconds measured
  let movedAt = Date.now();

  function show(isTick = false) {
    const active = rows.filter((row) => row.state !== "removed");
    const total = active.reduce((sum, row) => sum + row.file.size, 0);
    const done = active.reduce((sum, row) => sum + (row.isSettled ? row.file.size : row.sent), 0);
    const finished = active.filter((row) => row.isSettled).length;
    before ??= done;
    if (isTick) {
      if (!run.paused) rate += Math.max(SMOOTH, 1 / ++ticks) * (Math.max(0, done - before) - rate); // at first the mean
      if (done !== before) movedAt = Date.now();
      before = done;
    }
    bar.max = total || 1;
    bar.value = done;
    const parts = [[finished, active.length], [size(done), size(total)]].map(([used, most]) => gettext("%(used)s of %(most)s", { used, most }));
    if (run.paused) parts.push(gettext("paused"));
    else if (!navigator.onLine && Date.now() - movedAt > STILL_MS) parts.push(gettext("waiting for the connection"));
    else if (ticks >= FIRST && rate > 0) parts.push(left(((total - done) / rate) * (EVERY_MS / 1000)));
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
