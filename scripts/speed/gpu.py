"""How busy the GPU is while a variant works, as its driver tells."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Iterator

_COMMAND = (
    "nvidia-smi",
    "--query-gpu=utilization.gpu",
    "--format=csv,noheader,nounits",
    "--loop-ms=100",
    "--id=0",
)


@contextlib.contextmanager
def utilisation(device: str) -> Iterator[list[float]]:
    """Filled, when the block ends, with the mean share of time that a kernel was running, 0..1.

    Stays empty on a CPU, and where there is no ``nvidia-smi``.
    """
    found: list[float] = []
    try:
        watch = device == "cuda" and subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True)
    except OSError:
        watch = False
    try:
        yield found
    finally:
        if watch:
            watch.terminate()
            told, _ = watch.communicate()
            shares = [float(line) / 100 for line in told.split() if line.isdigit()]
            found += [statistics.mean(shares)] if shares else []
