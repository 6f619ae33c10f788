// Show times in the zone of the browser; those marked as dates stay as they are.

export function localTimes() {
  for (const time of document.querySelectorAll("time:not([data-date])")) {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}

localTimes();
