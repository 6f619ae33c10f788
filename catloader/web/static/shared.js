// Photos that came to another page than that of the upload: each is given out once.

const KEPT = "shared-photos"; // by share-worker.js
const BROUGHT = "brought-photos";

export async function takeShared() {
  if (!("caches" in window) || !(await caches.has(KEPT))) return [];
  const kept = await caches.open(KEPT);
  const requests = await kept.keys();
  const files = await Promise.all(requests.map(async (request) => {
    const bytes = await (await kept.match(request)).blob();
    return new File([bytes], new URL(request.url).searchParams.get("name"), { type: bytes.type });
  }));
  await Promise.all(requests.map((request) => kept.delete(request))); // others may have come meanwhile
  if (!(await kept.keys()).length) await caches.delete(KEPT);
  return files;
}

export function receiveShared(worker) {
  navigator.serviceWorker?.register(worker).catch(() => {}); // a browser may allow none; then there is no sharing
}

// Photos that are dropped on My photos. Unlike a cache, a database is there without https, too.
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

// What the upload page says about the photos that were brought to it.
export function leaveSentence(sentence) {
  try {
    sessionStorage.setItem(BROUGHT, sentence);
  } catch {
    // a browser that keeps nothing
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

// Delete what was not given out; resolve to true if there was something.
export async function forget() {
  const works = [
    async () => "caches" in window && caches.delete(KEPT),
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
