"""Shadow runs that a page starts: `catloader models shadow` in a child process, one at a time.

A run is a separate process because two models take hundreds of megabytes, and because its failure must not
affect the site. The process ends with the site.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO

from catloader.processes import start_child
from catloader.settings import Settings
from catloader.settings.environment import as_environment
from checker.files import write_whole
from checker.process.child_python import python_path

_TRIES, _RETRY_S = 10, 0.01
"""A page that reads the latest run holds the lock for a moment."""


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """The latest run of this machine."""

    candidate: str
    started_at: str
    """ISO time"""
    error: str = ""
    """One sentence; empty: the run is in progress, or its result is the latest report."""
    is_running: bool = False


class ShadowRuns:
    """The runs of all web processes on this data folder. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._note, self._lock = (settings.data_dir / f"shadow-run.{end}" for end in ("json", "lock"))
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, candidate: str, photos: int, now: datetime) -> bool:
        """Start comparing a model with the current model on at most ``photos`` photos.

        Returns:
            False if another run is in progress.
        """
        for _ in range(_TRIES):
            if (lock := self._locked()) is not None:
                break
            time.sleep(_RETRY_S)
        else:
            return False
        self._write(ShadowRun(candidate, now.isoformat()))
        arguments = (lock, candidate, photos, now)
        threading.Thread(target=self._run, args=arguments, name="shadow-run", daemon=True).start()
        return True

    def latest(self) -> ShadowRun | None:
        """Return the latest run; None if there was no run or its file can't be read."""
        lock = self._locked(fcntl.LOCK_SH)  # before the file is read: a run writes it, then ends
        try:
            values = json.loads(self._note.read_text("utf-8"))
            run = ShadowRun(values["candidate"], values["started_at"], values["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        finally:
            if lock is not None:
                lock.close()
        return run if lock is not None else ShadowRun(run.candidate, run.started_at, is_running=True)

    def close(self) -> None:
        """End the run of this process."""
        if self._child is not None:
            self._child.kill()

    def _run(self, lock: IO[str], candidate: str, photos: int, now: datetime) -> None:
        command = ["catloader", "models", "shadow", candidate, "--sample", str(photos)]
        # One photo at a time, so that uploads and checks continue meanwhile.
        settings = self._settings.with_changes(workers=1)
        environment = {**as_environment(settings, os.environ), "PYTHONPATH": python_path()}
        with lock:
            try:
                self._child = start_child(
                    [sys.executable, "-P", "-m", *command],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            except OSError as error:  # as without memory, or with too many open files
                reason = f"The comparison can't start: {error.strerror or error}."
                self._write(ShadowRun(candidate, now.isoformat(), reason))
                return
            _, stderr = self._child.communicate()
            if self._child.returncode:
                reason = reason_of_end(self._child.returncode, stderr)
                self._write(ShadowRun(candidate, now.isoformat(), reason))

    def _locked(self, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
        """Return the lock file, locked until it is closed; None if a run has locked it."""
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(self._lock.open("a"))
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            stack.pop_all()
        return file

    def _write(self, run: ShadowRun) -> None:
        write_whole(self._note, (json.dumps(asdict(run)) + "\n").encode())


def reason_of_end(code: int, stderr: bytes) -> str:
    """Return the error from the command's last line; a command that a signal ended has written none."""
    lines = [] if code < 0 else stderr.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "It was ended."
