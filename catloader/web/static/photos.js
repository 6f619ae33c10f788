// Update badges from "being checked" to the result. Poll every second while results arrive, and less often while
// none do. While the page is hidden, poll seldom, and show the number of new results in its title.

import { localTimes } from "./times.js";
import { gettext, ngettext } from "./texts.js";

const FIRST_MS = 1000;
const MOST_MS = 10000;
const HIDDEN_MS = 30000;
const STATUS = new URL("../api/photos/status", import.meta.url); // relative to this file, so that it has a proxy's prefix
const news = document.getElementById("news");
const { title } = document;
const GONE = { status: "gone", label: gettext("Not found"), tone: "problem", final: true }; // deleted in another tab
let waitMs = FIRST_MS;
let timer = 0;
let unseen = 0; // photos that were checked while the page was hidden

const waiting = () => [...document.querySelectorAll("[data-waiting]")];

function show(badge, photo) {
  if (badge.dataset.status === photo.status && badge.textContent === photo.label) return false;
  badge.dataset.status = photo.status;
  badge.textContent = photo.label;
  badge.className = `badge ${photo.tone} changed`;
  if (photo.final) delete badge.dataset.waiting;
  return true;
}

// Replace a part of the page, unless the user is working in it: a part with the focus or with unsaved text is left
// alone. In others, open boxes stay open.
function replacePart(part, fresh) {
  const isTouched = (field) => field.type !== "hidden" && field.value !== field.defaultValue;
  if (part.contains(document.activeElement) || [...part.querySelectorAll("input")].some(isTouched)) return;
  const open = new Set([...part.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
  for (const summary of fresh.querySelectorAll("summary")) summary.parentElement.open = open.has(summary.textContent);
  part.replaceWith(fresh);
}

// On a photo's page, a verdict changes more than the badge: the sentence, the gauge and the labels. On My photos, the
// filters have counts, which are fetched once all photos of the page are checked.
async function refresh() {
  const onPhoto = document.querySelector("article.photo");
  if (!onPhoto && waiting().length) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of onPhoto ? ["verdict", "appeal", "labels", "sharing", "details", "explain"] : ["filters"]) {
    const [part, other] = [document, fresh].map((page) => page.getElementById(id));
    if (part && other) replacePart(part, other);
  }
  localTimes();
}

// "12 Cat, 3 Not sure", so that screen readers do not read one word per photo.
function summary(labels) {
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => `${count} ${label}`).join(", ");
}

async function poll() {
  const badges = new Map(waiting().map((badge) => [badge.dataset.photo, badge]));
  if (!badges.size) return;
  let changed = 0;
  try {
    const response = await fetch(`${STATUS}?ids=${[...badges.keys()].join(",")}`);
    if (response.status === 401) return; // logged out in another tab: stop polling
    const ends = [];
    if (response.ok) {
      const { photos, waiting_note: sentence } = await response.json();
      const note = document.getElementById("waiting-note");
      note.hidden = !sentence;
      if (note.textContent !== sentence) note.textContent = sentence; // a change is read aloud
      for (const photo of photos) {
        if (show(badges.get(String(photo.id)), photo)) changed += 1;
        if (photo.final) ends.push(photo.label);
      }
      const known = new Set(photos.map(({ id }) => String(id)));
      for (const [id, badge] of badges) if (!known.has(id)) show(badge, GONE);
    }
    if (ends.length) {
      if (document.hidden) unseen += ends.length;
      if (unseen) document.title = ngettext("(%(num)d checked) %(title)s", "(%(num)d checked) %(title)s", unseen, { title });
      news.textContent = ngettext("Photo checked: %(labels)s.", "%(num)d photos checked: %(labels)s.", ends.length, { labels: ends.length === 1 ? ends[0] : summary(ends) });
      await refresh();
    }
  } catch {
    // offline: the next poll may succeed
  }
  waitMs = changed ? FIRST_MS : Math.min(waitMs * 1.5, MOST_MS);
  plan();
}

function plan() {
  clearTimeout(timer);
  if (waiting().length) timer = setTimeout(poll, document.hidden ? HIDDEN_MS : waitMs);
}

document.addEventListener("visibilitychange", () => {
  waitMs = FIRST_MS;
  if (!document.hidden) {
    unseen = 0;
    document.title = title;
  }
  plan();
});
plan();
