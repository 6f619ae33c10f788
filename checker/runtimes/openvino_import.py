"""Import openvino for serving: without telemetry and its converter, and safe with threads and signals."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from checker.errors import ModelRefused
from models.openvino_package import prepare_import

_CONVERTER = "openvino.tools.ovc"
_cores: list[Any] = []
_making_core = threading.Lock()


def import_openvino() -> Any:
    """Return the ``openvino`` module.

    Raises:
        ModelRefused: openvino is not installed.
    """
    prepare_import()
    try:
        with _without_converter():
            import openvino
    except ImportError as error:
        raise ModelRefused(
            "The OpenVINO runtime is not installed; `pip install 'catloader[openvino]'` installs it."
        ) from error
    # OpenVINO fills its table of NumPy types at first use, and holds a C++ guard while it releases the GIL:
    # two threads that use it first at the same time deadlock. So one thread fills the table here.
    openvino.Type.u8.to_dtype()
    np.asarray(openvino.Tensor(np.zeros(1, np.float32), shared_memory=True).data)
    return openvino


def shared_core() -> Any:
    """Return the ``openvino.Core`` of this process, which lives as long as the process.

    The first thread that uses a core gets its signal stack (sigaltstack) from the core. If another thread
    destroys the core, that memory is unmapped but still registered, and the next signal, such as SIGTERM,
    ends the process with SIGSEGV (seen with OpenVINO 2026.4). With a core for each model, this could happen
    whenever another model takes over.

    Raises:
        ModelRefused: openvino is not installed.
    """
    openvino = import_openvino()
    with _making_core:
        if not _cores:
            _cores.append(openvino.Core())
        return _cores[0]


@contextlib.contextmanager
def _without_converter() -> Iterator[None]:
    """Keep openvino from importing its converter, which only ``optimise`` needs.

    The converter takes a fifth of the import time. None in ``sys.modules`` makes a module appear to be
    missing, and openvino works without its converter.
    """
    converter = sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        if converter is None:
            del sys.modules[_CONVERTER]
