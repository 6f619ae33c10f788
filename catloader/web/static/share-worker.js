// Photos that other apps share with this one: keep them on this device, and open the upload page with them.
// The worker handles no other requests: the pages of the site are not below its address.

const CACHE = "shared-photos"; // also in shared.js
// Any site can send a request that looks like a share, so the files that wait are limited.
const MOST = 100;
const MOST_BYTES = 500 * 1024 * 1024;

async function keep(request) {
  const here = self.registration.scope;
  const cache = await caches.open(CACHE);
  const sizes = (await cache.keys()).map(({ url }) => Number(new URL(url).searchParams.get("size")));
  let [number, bytes] = [sizes.length, sizes.reduce((sum, size) => sum + size, 0)];
  const sent = (await request.formData()).getAll("photos").filter((file) => file instanceof File);
  const files = sent.filter((file) => ++number <= MOST && (bytes += file.size) <= MOST_BYTES);
  const kept = await Promise.allSettled(files.map((file, place) => {
    const facts = new URLSearchParams({ at: Date.now(), place, name: file.name, size: file.size });
    return cache.put(`${here}shared?${facts}`, new Response(file)); // refused if the device has no room
  }));
  const left = sent.length - kept.filter(({ status }) => status === "fulfilled").length;
  return Response.redirect(here.replace(/\/$/, "") + (left ? `?left_out=${left}` : ""), 303);
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { method, url, referrer } = event.request;
  const isSameOrigin = !referrer || new URL(referrer).origin === self.location.origin;
  if (method === "POST" && isSameOrigin && new URL(url).pathname.endsWith("/upload/shared")) event.respondWith(keep(event.request));
});
