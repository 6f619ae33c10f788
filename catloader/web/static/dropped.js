// The files of a drop. A folder arrives as one entry that can't be sent, so it is searched for photos.

import { gettext, locale, ngettext } from "./texts.js";

const MOST = 1000; // rows that a page shows without becoming slow
const PHOTO = /\.(jpe?g|png|webp|gif|apng|avif|hei[cf]|tiff?|bmp)$/i;

const { compare } = new Intl.Collator(locale, { numeric: true });
const byName = (one, other) => compare(one.name, other.name);

function inFolder(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

async function walk(entry, content) {
  if (content.files.length >= MOST) return;
  if (entry.isFile) {
    if (entry.name.startsWith(".") || !PHOTO.test(entry.name)) content.others += 1;
    else content.files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader(), children = [];
  // Each call returns a part of the folder, in the order of the disk. The last call returns nothing.
  for (let part = await inFolder(reader); part.length; part = await inFolder(reader)) children.push(...part);
  for (const child of children.sort(byName)) await walk(child, content);
}

// Resolve to { files, sentence }. The sentence says which files of the folders were left out; "" if none were.
export async function filesOf(transfer) {
  // Read both lists now: they are empty after the event.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files];
  const folders = entries.filter((entry) => entry.isDirectory);
  if (!folders.length) return { files: plain, sentence: "" };
  const names = new Set(folders.map((folder) => folder.name));
  const content = { files: [], others: 0 };
  try {
    for (const folder of folders) await walk(folder, content);
  } catch {
    return { files: [], sentence: gettext("This folder could not be read. Open it and choose the photos in it.") };
  }
  const files = [...plain.filter((file) => !names.has(file.name)), ...content.files];
  if (!content.files.length) return { files, sentence: gettext("There are no photos in %(names)s.", { names: [...names].join(", ") }) };
  if (content.files.length >= MOST) return { files, sentence: gettext("The first %(number)d photos were added. Drop the folder again after they are uploaded.", { number: MOST }) };
  const left = ngettext("%(num)d file that is not a photo was left out.", "%(num)d files that are not photos were left out.", content.others);
  return { files, sentence: content.others ? left : "" };
}
