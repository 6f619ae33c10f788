// One press of "Upload": it can be paused, continued and stopped, and its files are finished in their order.

export function makeRun(rows) {
  const wakes = new Set(); // ends the waits
  let resume = () => {};
  let going = Promise.resolve();

  for (const row of rows) row.settled = new Promise((resolve) => (row.settle = resolve));

  const wake = () => wakes.forEach((end) => end());
  window.addEventListener("online", wake);

  const run = {
    paused: false,
    stopped: "", // the sentence that ended the run for all files
    cancelled: false,
    going: () => going, // resolves while the run is not paused
    wake,
    isOver: (row) => Boolean(run.stopped) || run.cancelled || row.state === "removed",

    // A photo's number tells its place: the last byte of a file waits until the files before it are settled.
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

    // Requests under way end; the next ones ask how far they came.
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
