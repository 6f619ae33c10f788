// Every page with a log-in: photos that wait in this browser are deleted by a log-out, and by the log-in of
// another account than the last one here.

import { forget } from "./shared.js";

const PATIENCE_MS = 2000; // a log-out does not wait longer for the browser's store
const LAST = "catloader-account";

async function settleAccount() {
  const here = document.body.dataset.account;
  let last = here;
  let forgotten = false;
  try {
    last = localStorage.getItem(LAST) ?? here;
    // First: a page that is left now must not let the next one take them.
    if (last !== here) forgotten = await forget();
    localStorage.setItem(LAST, here);
  } catch {
    // A browser that keeps nothing has no photos of others, either.
  }
  return forgotten;
}

// Resolves to true if photos of another account were deleted.
export const forgotten = settleAccount();

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
