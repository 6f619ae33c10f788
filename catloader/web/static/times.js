// Show times in the zone of the browser; those marked as dates stay as they are.

import { locale } from "./texts.js";

export function localTimes() {
  for (const time of document.querySelectorAll("time:not([data-date])")) {
    time.textContent = new Date(time.dateTime).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  }
}

localTimes();
