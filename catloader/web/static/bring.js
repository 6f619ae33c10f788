// Photos dropped on another page than the upload page, or pasted there: keep them, and open the upload page with them.

import { receiveFiles } from "./incoming.js";
import { bring, leaveSentence } from "./shared.js";
import { gettext } from "./texts.js";

const { upload } = document.body.dataset;

receiveFiles(async ({ files, sentence }) => {
  if (!files.length && !sentence) return;
  const sentences = [sentence];
  try {
    if (files.length) await bring(files);
  } catch { // the browser stores nothing, or a file can't be read
    sentences.unshift(gettext("The browser could not bring the photos to this page. Add them here again."));
  }
  leaveSentence(sentences.filter(Boolean).join(" "));
  location.assign(upload);
}, false);
