"""Fetch a model or make a missing OpenVINO variant in a child process of low priority."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path

from checker.process.child_python import python_path

_END_S = 1.0
"""Time for a child to end before it is killed. Files that a killed child leaves are removed by the next child
(``models.temporary``)."""


def can_optimise(precision: str) -> bool:
    """Return True if the required packages are installed, without importing them. int8 needs no torch."""
    packages = ("openvino",) if precision == "int8" else ("torch", "openvino")
    try:
        return all(importlib.util.find_spec(name) for name in packages)
    except ImportError:  # a finder may raise instead of returning nothing
        return False


class BackgroundTask:
    """One run of ``models.background``. Thread-safe; must be closed."""

    @classmethod
    def fetch(cls, name: str, weights_dir: Path) -> BackgroundTask:
        """Fetch a model; if another process is fetching it already, see ``models.fetch``."""
        return cls("fetch", name, str(weights_dir))

    @classmethod
    def optimise(cls, name: str, precision: str, weights_dir: Path) -> BackgroundTask:
        """Make an OpenVINO variant that needs no photos. The first process makes it; others wait for it."""
        return cls("optimise", name, precision, str(weights_dir))

    def __init__(self, *arguments: str) -> None:
        """Start the child. It takes seconds on one core, and the memory of torch."""
        self._reading = threading.Lock()
        self._process = subprocess.Popen(
            # -P: nothing may be imported from the folder in which this process was started.
            [sys.executable, "-P", "-m", "models.background", *arguments],
            stdin=subprocess.PIPE,  # the child ends when this end of the pipe is closed, even by kill -9
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # this process handles Ctrl-C, and then ends the child
        )

    def wait(self) -> str:
        """Wait until the task is done; return the reason if it failed, else an empty string."""
        assert self._process.stdout is not None
        with self._reading:
            lines = [] if self._process.stdout.closed else self._process.stdout.read().splitlines()
        if self._process.wait() == 0:
            return ""
        return lines[-1] if lines else "the process for it was stopped"

    def is_done(self) -> bool:
        """Return True once the task has succeeded; never wait."""
        return self._process.poll() == 0

    def close(self) -> None:
        """End the child, done or not, within about a second; the child removes its unfinished files."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._reading:
            self._process.stdout.close()
