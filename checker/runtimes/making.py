"""Make a missing OpenVINO variant in the background, in a child process of low priority."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_END_S = 5.0


def can_make() -> bool:
    """Return whether the packages are there; does not import them."""
    return all(importlib.util.find_spec(name) for name in ("torch", "openvino"))


class Making:
    """One run of ``models.optimise_child``. Thread-safe; must be closed.

    Several processes may ask for the same variant: the first one makes it, the others wait for it.
    """

    def __init__(self, name: str, precision: str, weights_dir: Path) -> None:
        """Start the child: seconds of one core, and the memory of torch."""
        import_paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._reading = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "models.optimise_child", name, precision, str(weights_dir)],
            stdin=subprocess.PIPE,  # the child ends when this end of the pipe is closed, also by a kill -9
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(import_paths), "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a terminal's Ctrl-C is for this process, which ends the child
        )

    def wait(self) -> str:
        """Wait until it is made. Returns the reason where it could not be; else an empty string."""
        assert self._process.stdout is not None
        with self._reading:
            lines = [] if self._process.stdout.closed else self._process.stdout.read().splitlines()
        if self._process.wait() == 0:
            return ""
        return lines[-1] if lines else "the process that makes it was stopped"

    def close(self) -> None:
        """End the child, made or not, within seconds; files that are not complete are removed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._reading:
            self._process.stdout.close()
