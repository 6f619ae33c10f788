// Photos that arrived on another page than the upload page. Each is returned once.

const CACHE = "shared-photos"; // the cache of share-worker.js
const BROUGHT = "brought-photos";

export async function takeShared() {
  if (!("caches" in window) || !(await caches.has(CACHE))) return [];
  const cache = await caches.open(CACHE);
  const requests = await cache.keys();
  const files = await Promise.all(requests.map(async (request) => {
    try {
      const bytes = await (await cache.match(request))?.blob();
      if (!bytes || !(await cache.delete(request))) return []; // another tab has taken it
      return new File([bytes], new URL(request.url).searchParams.get("name"), { type: bytes.type });
    } catch {
      return []; // it stays in the cache, and the others are not lost with it
    }
  }));
  try {
    if (!(await cache.keys()).length) await caches.delete(CACHE); // else others have arrived meanwhile
  } catch {
    // an empty cache stays
  }
  return files.flat();
}

export function receiveShared(worker) {
  navigator.serviceWorker?.register(worker).catch(() => {}); // without the worker, other apps can't share photos with this one
}

// Photos dropped on other pages are in a database, because caches need https.
async function inDatabase(mode, work) {
  const opening = indexedDB.open(BROUGHT, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(BROUGHT, { autoIncrement: true });
  const database = await new Promise((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(BROUGHT, mode);
      const request = work(transaction.objectStore(BROUGHT));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

export const bring = (files) => inDatabase("readwrite", (store) => {
  for (const file of files) store.add(file);
});

// Keep the sentence that the upload page will show about the photos.
export function leaveSentence(sentence) {
  try {
    sessionStorage.setItem(BROUGHT, sentence);
  } catch {
    // the browser stores nothing
  }
}

export function takeSentence() {
  try {
    const sentence = sessionStorage.getItem(BROUGHT) ?? "";
    sessionStorage.removeItem(BROUGHT);
    return sentence;
  } catch {
    return "";
  }
}

// Delete what still waits; resolve to true if something did.
export async function forget() {
  const works = [
    async () => "caches" in window && caches.delete(CACHE),
    async () => (await takeBrought()).length > 0,
    async () => takeSentence() !== "",
  ];
  const done = await Promise.allSettled(works.map((work) => work()));
  return done.some(({ value }) => value);
}

export async function takeBrought() {
  try {
    return await inDatabase("readwrite", (store) => {
      const all = store.getAll();
      store.clear();
      return all;
    });
  } catch {
    return []; // a private window may have no database
  }
}
