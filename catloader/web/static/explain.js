// Switch between the photo and its explanation. The first request makes the explanation, which takes seconds. The
// site makes one at a time, and responds with Retry-After while it is busy.

import { gettext } from "./texts.js";

const TRIES = 15; // three seconds each (Retry-After): in all the site's time limit for one explanation
const SOON_S = 60; // the site's Retry-After after a failed explanation, which is not retried here
const SHOW = gettext("Show what the checker saw");
const BACK = gettext("Show the photo");
const BUSY = gettext("Making the explanation. This takes a few seconds …");
const img = document.getElementById("shown-photo");
const photo = { src: img.getAttribute("src"), alt: img.alt };
const part = (name) => document.getElementById(`explain-${name}`);
const say = (sentence) => {
  if (part("news")) part("news").textContent = sentence;
};
let running = false;

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

// Resolve to null when the explanation can be shown, else to a sentence about the error.
async function make(address) {
  for (let left = TRIES; ; left -= 1) {
    // Do not follow redirects: if photos are delivered by links to S3, only an <img> may load them.
    const response = await fetch(address, { headers: { Accept: "application/json" }, redirect: "manual" });
    if (response.ok || response.type === "opaqueredirect") {
      if (response.ok) await response.blob(); // the <img> finds the complete file in the cache
      return null;
    }
    const retryAfterS = Number(response.headers.get("Retry-After"));
    if (response.status === 503 && retryAfterS > 0 && retryAfterS < SOON_S && left > 1) await pause(retryAfterS);
    else return (await response.json()).error;
  }
}

function show(src, alt) {
  return new Promise((resolve, reject) => {
    img.onload = resolve;
    img.onerror = reject;
    img.alt = alt;
    img.src = src;
  });
}

// Show the seconds. Screen readers ignore them, so that they read the sentence once, not every second.
function count() {
  const seconds = document.createElement("span");
  seconds.ariaHidden = "true";
  part("news")?.append(" ", seconds);
  const begun = Date.now();
  return setInterval(() => (seconds.textContent = `${Math.round((Date.now() - begun) / 1000)} s`), 1000);
}

async function toggle(link) {
  if (part("caption").hidden) {
    running = true;
    img.classList.add("busy");
    img.ariaBusy = "true";
    say(BUSY);
    const clock = count();
    let sentence = gettext("That did not work. Please try again in a moment.");
    try {
      sentence = await make(link.href);
      if (sentence === null) await show(link.getAttribute("href"), gettext("The photo with coloured areas that show what the checker saw"));
    } catch {
      sentence ??= gettext("The explanation could not be loaded. Please try again in a moment.");
      show(photo.src, photo.alt).catch(() => {});
    }
    clearInterval(clock);
    img.classList.remove("busy");
    img.ariaBusy = null;
    running = false;
    say(sentence ?? "");
    if (sentence === null && part("caption")) {
      part("caption").hidden = false;
      part("link").textContent = BACK;
    }
    return;
  }
  part("caption").hidden = true;
  part("link").textContent = SHOW;
  show(photo.src, photo.alt).catch(() => {});
}

// Listen on the document, because a new verdict replaces the link.
document.addEventListener("click", (event) => {
  const link = event.target.closest("#explain-link");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (!running) toggle(link);
});
