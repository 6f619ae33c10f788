// Pages with a log-in, and pages of a browser whose session was ended on purpose, such as from another device:
// photos that wait in this browser are deleted by a log-out, by the end of the session, and by the log-in of
// another account than the last one here. They survive a session that expired.

import { forget } from "./shared.js";
import { gettext } from "./texts.js";

const PATIENCE_MS = 2000; // a log-out does not wait longer for the browser's store
const LAST = "catloader-account";
const NOBODY = ""; // as the last account: what waits belongs to nobody

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
      // Written first: if this page is left now, the next one must not treat the photos as its account's.
      localStorage.setItem(LAST, NOBODY);
      if (await forget()) tell(here === NOBODY ? ENDED : EARLIER);
    }
    localStorage.setItem(LAST, here);
  } catch {
    // A browser that keeps nothing has no photos of others, either.
  }
}

// Resolves when the photos that still wait are of this account.
export const settled = settleAccount();

for (const button of document.querySelectorAll("[data-log-out]")) {
  const form = button.form;
  form.addEventListener("submit", async (event) => {
    if (form.dataset.forgotten || !form.requestSubmit) return; // an old browser only logs out
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
