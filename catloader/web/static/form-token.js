// The token of a form that stays open for long. After a log-in in another tab the page's own token is refused;
// then a fresh one is fetched, once for all files that wait for it.

import { gettext } from "./texts.js";

export const LOGGED_OUT = gettext("You are logged out.");
const OTHER_ACCOUNT = gettext("Another account is logged in now. Reload this page to upload to that one.");
const NO_ANSWER = gettext("The site does not answer. Please try again in a moment.");

export function formToken(form) {
  let token = form.elements.csrf_token.value;
  let renewal = null;

  // Resolve to "" when there is a fresh token, else to the sentence that says why there is none.
  async function fetchToken() {
    let answer;
    try {
      answer = await fetch(form.dataset.token, { headers: { Accept: "application/json" } });
    } catch {
      return NO_ANSWER;
    }
    if (answer.status === 401) return LOGGED_OUT;
    if (!answer.ok) return NO_ANSWER;
    const fresh = await answer.json();
    if (String(fresh.account) !== form.dataset.account) return OTHER_ACCOUNT;
    token = fresh.token;
    return "";
  }

  return {
    current: () => token,
    renew: () => (renewal ??= fetchToken().finally(() => (renewal = null))),
  };
}
