// Photos that other apps share with this one: keep them on this device and open the upload page with them.
// It takes part in nothing else: the pages of the site are not below its address.

const KEPT = "shared-photos"; // the name is in shared.js too

async function keep(request) {
  const here = self.registration.scope;
  const files = (await request.formData()).getAll("photos").filter((file) => file instanceof File);
  const kept = await caches.open(KEPT);
  await Promise.all(files.map((file, place) => {
    const facts = new URLSearchParams({ at: Date.now(), place, name: file.name });
    return kept.put(`${here}shared?${facts}`, new Response(file));
  }));
  return Response.redirect(here.replace(/\/$/, ""), 303);
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { method, url, referrer } = event.request;
  const isOurs = !referrer || new URL(referrer).origin === self.location.origin;
  if (method === "POST" && isOurs && new URL(url).pathname.endsWith("/upload/shared")) event.respondWith(keep(event.request));
});
