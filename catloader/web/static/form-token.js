// The token of a form that stays open for a long time. After a log-in in another tab, the page's token is refused.
// Then a new token is fetched, once for all files that wait for it.

import { gettext } from "./texts.js";

export const LOGGED_OUT = gettext("You are logged out.");
const OTHER_ACCOUNT = gettext("Another account is logged in now. Reload this page to upload to that one.");
const NO_ANSWER = gettext("The site does not answer. Please try again in a moment.");

export function formToken(form) {
  let token = form.elements.csrf_token.value;
  let renewal = null;

  // Resolve to "" when there is a new token, else to a sentence that says why there is none.
  async function fetchToken() {
    let content;
    try {
      const response = await fetch(form.dataset.token, { headers: { Accept: "application/json" } });
      if (response.status === 401) return LOGGED_OUT;
      if (!response.ok) return NO_ANSWER;
      content = await response.json();
    } catch { // no response, a part of one, or the page of a proxy
      return NO_ANSWER;
    }
    if (String(content.account) !== form.dataset.account) return OTHER_ACCOUNT;
    token = content.token;
    return "";
  }

  return {
    current: () => token,
    renew: () => (renewal ??= fetchToken().finally(() => (renewal = null))),
  };
}
