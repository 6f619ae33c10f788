// Show the progress of a job of the site without reloading the page. Reload it once the job has ended.

const EVERY_MS = 2000;
const job = document.getElementById("job-progress");

async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("job-progress");
      if (response.ok && !fresh) return location.reload(); // ended, or logged out
      if (fresh) job.replaceChildren(...fresh.childNodes);
    } catch {
      // offline: the next look may succeed
    }
  }
  setTimeout(look, EVERY_MS);
}

if (job) setTimeout(look, EVERY_MS);
