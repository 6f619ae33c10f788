"""GPU utilisation while a variant runs, as the driver reports it."""

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
    """Yield a list that receives the mean share of time with a running kernel, 0..1, at the end of the block.

    The list stays empty on a CPU, and if there is no ``nvidia-smi``.
    """
    shares: list[float] = []
    try:
        monitor = device == "cuda" and subprocess.Popen(_COMMAND, stdout=subprocess.PIPE, text=True)
    except OSError:
        monitor = False
    try:
        yield shares
    finally:
        if monitor:
            monitor.terminate()
            output, _ = monitor.communicate()
            samples = [float(line) / 100 for line in output.split() if line.isdigit()]
            shares += [statistics.mean(samples)] if samples else []
