// Show how far a job of the site is, without reloading the page; reload it once when the job has ended.

const EVERY_MS = 2000;
const job = document.getElementById("job-progress");

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("job-progress");
      if (answer.ok && !fresh) return location.reload(); // ended, or logged out
      if (fresh) job.replaceChildren(...fresh.childNodes);
    } catch {
      // offline: the next look may succeed
    }
  }
  setTimeout(look, EVERY_MS);
}

if (job) setTimeout(look, EVERY_MS);
