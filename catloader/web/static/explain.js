// What the network looked at, in place of the photo and back. The site makes that picture at the first
// call, for seconds, and one at a time: when it is busy it says when to come back.

const TRIES = 15; // with the site's three seconds in between: as long as it gives one photo
const SHOW = "What did the network look at?";
const BACK = "Show the photo again";
const BUSY = "Looking at it once more. This takes a few seconds …";
const picture = document.getElementById("picture");
const photo = { src: picture.getAttribute("src"), alt: picture.alt };
const part = (name) => document.getElementById(`explain-${name}`);
const say = (sentence) => {
  if (part("news")) part("news").textContent = sentence;
};
let running = false;

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

// Resolves to null when the picture can be shown, else to a sentence.
async function make(address) {
  for (let left = TRIES; ; left -= 1) {
    // Not followed: where pictures are delivered by links to S3, only an <img> may go there.
    const answer = await fetch(address, { headers: { Accept: "application/json" }, redirect: "manual" });
    if (answer.ok || answer.type === "opaqueredirect") {
      if (answer.ok) await answer.blob(); // whole, so that the browser's cache has it for the <img>
      return null;
    }
    const again = Number(answer.headers.get("Retry-After"));
    if (answer.status === 503 && again > 0 && left > 1) await pause(again);
    else return (await answer.json()).error;
  }
}

function show(src, alt) {
  return new Promise((resolve, reject) => {
    picture.onload = resolve;
    picture.onerror = reject;
    picture.alt = alt;
    picture.src = src;
  });
}

async function toggle(link) {
  if (part("caption").hidden) {
    running = true;
    picture.classList.add("busy");
    picture.ariaBusy = "true";
    say(BUSY);
    let sentence = "That did not work. Please try again in a moment.";
    try {
      sentence = await make(link.href);
      if (sentence === null) await show(link.getAttribute("href"), "What the network looked at, in colour over the photo");
    } catch {
      sentence ??= "The picture did not arrive. Please try again in a moment.";
      show(photo.src, photo.alt).catch(() => {});
    }
    picture.classList.remove("busy");
    picture.ariaBusy = null;
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

// Not on the link itself: a verdict that arrives brings a new one.
document.addEventListener("click", (event) => {
  const link = event.target.closest("#explain-link");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (!running) toggle(link);
});
