"""Import openvino for serving: without telemetry, without its converter, and safe for threads."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from checker.errors import ModelRefused
from models.openvino_ir import without_telemetry

_CONVERTER = "openvino.tools.ovc"


def import_openvino() -> Any:
    """Return the module.

    Raises:
        ModelRefused: it is not installed.
    """
    without_telemetry()
    try:
        with _without_converter():
            import openvino
    except ImportError as error:
        raise ModelRefused(
            "The OpenVINO runtime is not installed; `pip install 'catloader[openvino]'` installs it."
        ) from error
    # OpenVINO fills its table of NumPy types at first use, behind a C++ guard that is held while the GIL is
    # released: two threads that arrive first at the same time deadlock. So one thread fills it here.
    openvino.Type.u8.to_dtype()
    np.asarray(openvino.Tensor(np.zeros(1, np.float32), shared_memory=True).data)
    return openvino


@contextlib.contextmanager
def _without_converter() -> Iterator[None]:
    """Keep openvino from importing its converter, a fifth of its import time; only ``optimise`` needs it.

    None in ``sys.modules`` makes a module missing, and openvino does without a missing converter.
    """
    converter = sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        if converter is None:
            del sys.modules[_CONVERTER]
