"""The forms that a network may have, for those who name one on the command line."""

from __future__ import annotations

from models import openvino_ir
from scripts.command_line import CannotRun

_OF_RUNTIME = {"torch": ("fp32", "bf16", "fp16"), "openvino": openvino_ir.PRECISIONS}
PRECISIONS = tuple(dict.fromkeys(name for names in _OF_RUNTIME.values() for name in names))


def must_exist(runtime: str, precision: str) -> None:
    """Before a form that no command could make is looked for.

    Raises:
        CannotRun: says which there are.
    """
    if runtime not in _OF_RUNTIME:
        raise CannotRun(f"there is no runtime {runtime!r}; there are {', '.join(_OF_RUNTIME)}")
    known = ("auto", *_OF_RUNTIME[runtime])
    if precision not in known:
        raise CannotRun(f"{runtime} has no precision {precision!r}; it has {', '.join(known)}")
