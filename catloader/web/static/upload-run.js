// One run of "Upload". It can be paused, continued and stopped, and it finishes the files in order.

export function makeRun(rows) {
  const wakes = new Set(); // functions that end waits
  let resume = () => {};
  let going = Promise.resolve();

  for (const row of rows) row.settled = new Promise((resolve) => (row.settle = resolve));

  const wake = () => wakes.forEach((end) => end());
  window.addEventListener("online", wake);

  const run = {
    paused: false,
    stopped: "", // the sentence with which the run was ended for all files
    cancelled: false,
    going: () => going, // resolves while the run is not paused
    wake,
    isOver: (row) => Boolean(run.stopped) || run.cancelled || row.state === "removed",

    // Photos are numbered in the order of the files: the last byte of a file waits until earlier files are settled.
    isTurn: (row) => rows.slice(0, rows.indexOf(row)).every((before) => before.isSettled),
    turn: (row) => Promise.all(rows.slice(0, rows.indexOf(row)).map((before) => before.settled)),

    wait: (seconds) =>
      new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          wakes.delete(end);
          resolve();
        };
        const timer = setTimeout(end, seconds * 1000);
        wakes.add(end);
      }),

    // Abort all requests. The next requests ask the site for the offset.
    interrupt() {
      for (const row of rows) row.abort();
      wake();
    },
    pause() {
      run.paused = true;
      going = new Promise((resolve) => (resume = resolve));
      run.interrupt();
    },
    goOn() {
      run.paused = false;
      resume();
    },
    stop(sentence) {
      run.stopped ||= sentence;
      wake();
    },
    cancel() {
      run.cancelled = true;
      run.goOn();
      run.interrupt();
    },
    close: () => window.removeEventListener("online", wake),
  };
  return run;
}
