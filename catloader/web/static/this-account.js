// Prepare the browser for photos that other apps share. Delete those that wait in it after a log-out, after the session
// was ended deliberately (such as from another device), and when another account logs in. They are kept after a session
// has expired.

import { forget, receiveShared } from "./shared.js";
import { gettext } from "./texts.js";

const PATIENCE_MS = 2000; // a log-out waits at most this long for the deletion
const LAST = "catloader-account";
const NOBODY = ""; // value of LAST: the photos belong to nobody

const ENDED = gettext("This device was logged out, so photos that waited here were removed. Log in before you share again.");
const EARLIER = gettext("Photos that waited here since an earlier log-in were removed. Share yours again.");

function tell(message) {
  const note = document.createElement("p");
  note.className = "note";
  note.setAttribute("role", "status");
  document.getElementById("main").prepend(note);
  note.textContent = message;
}

async function settleAccount() {
  const { account: here = NOBODY, forget: isEnded } = document.body.dataset;
  try {
    const last = localStorage.getItem(LAST) ?? here;
    if (isEnded !== undefined || last !== here) {
      // Write this first: if the page is left now, the next page must not take the photos for its account's.
      localStorage.setItem(LAST, NOBODY);
      if (await forget()) tell(here === NOBODY ? ENDED : EARLIER);
    }
    localStorage.setItem(LAST, here);
  } catch {
    // A browser that stores nothing has no photos of others, either.
  }
}

// Resolves when all photos that still wait belong to this account.
export const settled = settleAccount();

const { worker } = document.body.dataset;
if (worker) receiveShared(worker);

for (const button of document.querySelectorAll("[data-log-out]")) {
  const form = button.form;
  form.addEventListener("submit", async (event) => {
    if (form.dataset.forgotten || !form.requestSubmit) return; // old browsers only log out
    event.preventDefault();
    await Promise.race([forget(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
    try {
      localStorage.removeItem(LAST);
    } catch {
      // as above
    }
    form.dataset.forgotten = "yes";
    form.requestSubmit(button);
  });
}
