"""Shadow runs that a page starts: `catloader models shadow` in a child process, one at a time.

It is a separate process because two models take hundreds of megabytes, and because its failure must not
affect the site. It ends with the site.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO

from catloader.processes import start_child
from catloader.settings import Settings
from catloader.settings.environment import as_environment
from checker.files import write_whole
from checker.process.child_python import python_path


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
        """Compare a model with the one in use on at most this many photos; False: a run is in progress."""
        held = self._held()
        if held is None:
            return False
        self._write(ShadowRun(candidate, now.isoformat()))
        arguments = (held, candidate, photos, now)
        threading.Thread(target=self._run, args=arguments, name="shadow-run", daemon=True).start()
        return True

    def latest(self) -> ShadowRun | None:
        """Return the latest run; None: there was none, or its file can't be read."""
        held = self._held(fcntl.LOCK_SH)  # before the note is read: a run writes it, then ends
        try:
            values = json.loads(self._note.read_text("utf-8"))
            run = ShadowRun(values["candidate"], values["started_at"], values["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        finally:
            if held is not None:
                held.close()
        return run if held is not None else ShadowRun(run.candidate, run.started_at, is_running=True)

    def close(self) -> None:
        """End the run of this process."""
        if self._child is not None:
            self._child.kill()

    def _run(self, held: IO[str], candidate: str, photos: int, now: datetime) -> None:
        command = ["catloader", "models", "shadow", candidate, "--sample", str(photos)]
        # One photo at a time, so that uploads and checks continue meanwhile.
        settings = self._settings.with_changes(workers=1)
        environment = {**as_environment(settings, os.environ), "PYTHONPATH": python_path()}
        with held:
            self._child = start_child(
                [sys.executable, "-P", "-m", *command],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _, stderr = self._child.communicate()
            if self._child.returncode:
                reason = reason_of_end(self._child.returncode, stderr)
                self._write(ShadowRun(candidate, now.isoformat(), reason))

    def _held(self, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
        """Return the lock's file, locked until it is closed; None: a run holds it."""
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
    """Return the command's last line, which has its error; it has none where a signal has ended it."""
    lines = [] if code < 0 else stderr.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "It was ended."
