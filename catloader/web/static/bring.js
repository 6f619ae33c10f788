// Photos that are dropped on My photos, or pasted there, wait on the upload page.

import { receiveFiles } from "./incoming.js";
import { bring } from "./shared.js";

const { upload } = document.getElementById("news").dataset;

receiveFiles(async ({ files, sentence }) => {
  if (!files.length && !sentence) return;
  try {
    await bring(files);
  } finally {
    location.assign(upload); // without them, where the browser keeps nothing
  }
});
