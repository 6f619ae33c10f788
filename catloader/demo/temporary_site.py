"""A site in a child process, on a free port, with a separate data folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from catloader.demo.client import free_port
from catloader.errors import StartupError
from catloader.processes import start_child
from catloader.settings import variables
from checker.process.child_python import python_path

_STOP_S = 10.0
_INHERITED_SECTIONS = ("Checking", "Uploads")
"""Sections of the caller's settings that apply to the site: how photos are prepared and checked, not where
data is stored."""


@dataclass(frozen=True, slots=True)
class TemporarySite:
    """A running ``catloader serve``."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def must_run(self) -> None:
        """Raise StartupError with the site's output if the site has ended."""
        if self.process.poll() is not None:
            output = self.log_file.read_text(errors="replace").strip()
            raise StartupError(output or "The site ended without a message.")


@contextmanager
def temporary_site(folder: Path, *, fetch: str = "off") -> Iterator[TemporarySite]:
    """Run a site on ``folder``; stop it at the end.

    Args:
        fetch: value of ``CATCHECK_FETCH``. The demo would end before a fetched model could check.
    """
    port = free_port()
    settings = {
        "CATLOADER_DATA_DIR": str(folder),
        "CATLOADER_HOST": "127.0.0.1",
        "CATLOADER_PORT": str(port),
        "CATCHECK_FETCH": fetch,
        "PYTHONPATH": python_path(),
    }
    dropped = {
        name
        for variable in variables()
        if variable.section not in _INHERITED_SECTIONS
        for name in variable.names
    }
    environ = {name: value for name, value in os.environ.items() if name not in dropped} | settings
    log_file = folder / "site.log"
    with log_file.open("wb") as log:
        # The child is in a separate session: Ctrl-C reaches only this process, which then stops the site.
        # -P: do not import modules from the folder in which this process was started.
        process = start_child([sys.executable, "-P", "-m", "catloader", "serve"], env=environ, stdout=log)
    try:
        yield TemporarySite(f"http://127.0.0.1:{port}", process, log_file)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
