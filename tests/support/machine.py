"""The load of this machine: limits of time are promises for one that has nothing else to do."""

from __future__ import annotations

import subprocess
import sys

from checker.process.cores import available_cores

_WORK_S = 0.05
_WORK = f"""
import time
began_s, work_s = time.monotonic(), time.process_time()
while time.process_time() - work_s < {_WORK_S}:
    pass
print((time.monotonic() - began_s) / {_WORK_S})
"""


def busy_factor() -> float:
    """Return how many times longer than alone a computation on every core takes now; at least 1.

    Other tests, and other programs, take their share of the cores meanwhile. A limit that is multiplied by it
    stays as strict as it is where nothing else runs.
    """
    command = [sys.executable, "-S", "-c", _WORK]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(available_cores())]
    factors = [float(process.communicate(timeout=60)[0]) for process in running]
    return max(1.0, *factors)
