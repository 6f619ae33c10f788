"""The load of this machine: time limits are promises for a machine that runs nothing else."""

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
    """Return how many times longer a computation on every core takes now than on an idle machine; at least 1.

    Other tests and other programs share the cores. A time limit that is multiplied by this factor is as
    strict as the unchanged limit on an idle machine.
    """
    command = [sys.executable, "-S", "-c", _WORK]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(available_cores())]
    factors = [float(process.communicate(timeout=60)[0]) for process in running]
    return max(1.0, *factors)
