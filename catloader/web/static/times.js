// Show times in the time zone of the browser. Elements marked as dates are left unchanged.

import { locale } from "./texts.js";

const clock = (moment) => new Date(moment).toLocaleTimeString(locale, { timeStyle: "short" });

export function localTimes() {
  for (const time of document.querySelectorAll("time:not([data-date])")) {
    time.textContent = "clock" in time.dataset
      ? clock(time.dateTime)
      : new Date(time.dateTime).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  }
  for (const title of document.querySelectorAll("title[data-from]")) {
    title.textContent = `${clock(title.dataset.from)}: ${title.dataset.number}`;
  }
}

localTimes();
