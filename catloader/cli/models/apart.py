"""Import weights in a child process: libraries read the file in loops that Ctrl-C does not interrupt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from catloader.processes import start_child
from checker.process.child_python import python_path
from checker.process.signal_names import signal_name
from models.errors import WeightsRefused

LIMIT_S = 1800.0
"""The largest model of the catalogue takes minutes on a slow machine."""


def import_apart(name: str, arguments: Sequence[str], limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Run ``python -m models.importing ARGUMENTS``; return the model's name, path and logit difference.

    Args:
        name: of the file, for messages.

    Raises:
        WeightsRefused: the text says why; the child process has ended.
    """
    child = start_child(
        # -P: do not import modules from the folder in which this process was started.
        [sys.executable, "-P", "-m", "models.importing", *arguments],
        env={**os.environ, "PYTHONPATH": python_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        try:
            output, errors = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise WeightsRefused(f"{name} is refused: importing it takes too long.") from None
        finally:
            child.kill()
    if child.returncode < 0:
        ending = signal_name(-child.returncode)
        raise WeightsRefused(f"{name} is refused: the process that imported it was ended by {ending}.")
    if child.returncode:  # a bug keeps its traceback
        raise RuntimeError(errors.decode(errors="replace"))
    result: dict[str, Any] = json.loads(output)
    if "refused" in result:
        raise WeightsRefused(result["refused"])
    return result
