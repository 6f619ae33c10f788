// Photos that share-worker.js has kept: each is given out once.

const KEPT = "shared-photos";

export async function takeShared() {
  if (!("caches" in window) || !(await caches.has(KEPT))) return [];
  const kept = await caches.open(KEPT);
  const files = await Promise.all((await kept.keys()).map(async (request) => {
    const bytes = await (await kept.match(request)).blob();
    return new File([bytes], new URL(request.url).searchParams.get("name"), { type: bytes.type });
  }));
  await caches.delete(KEPT);
  return files;
}

export function receiveShared(worker) {
  navigator.serviceWorker?.register(worker).catch(() => {}); // a browser may allow none; then there is no sharing
}
