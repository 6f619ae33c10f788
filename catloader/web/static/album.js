// When the end of the album comes into view, fetch the next page and append its photos.

import { ngettext } from "./texts.js";

const list = document.getElementById("album");
const news = document.getElementById("album-news");

async function extend(link) {
  const response = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const photos = [...page.querySelectorAll("#album > li")];
  for (const photo of photos) photo.dataset.page = link.href;
  list.append(...photos);
  if (link === document.activeElement) photos[0]?.querySelector("a").focus({ preventScroll: true });
  const next = page.getElementById("album-older");
  if (next) link.replaceWith(next);
  else link.remove();
  news.textContent = ngettext("%(num)d more photo.", "%(num)d more photos.", photos.length);
  if (next) watch(next);
}

function watch(link) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    extend(link).catch(() => {}); // offline: the link stays and can be followed
  }, { rootMargin: "600px" });
  observer.observe(link);
}

// Back from a photo loads the album anew, so it must lead to the page with the photo. The position to which browsers
// return by themselves is that in the album that had grown.
list?.addEventListener("click", (event) => {
  const photo = event.target.closest("li");
  if (!photo || event.ctrlKey || event.metaKey || event.shiftKey) return;
  history.scrollRestoration = "manual";
  history.replaceState(history.state, "", `${photo.dataset.page ?? location.pathname + location.search}#${photo.id}`);
});
if (history.scrollRestoration === "manual") document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: "center" });

const older = document.getElementById("album-older");
if (older) watch(older);
