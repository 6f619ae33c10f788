"""Import openvino for serving: without telemetry, without its converter, and safe for threads and signals."""

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
    """Return the module.

    Raises:
        ModelRefused: it is not installed.
    """
    prepare_import()
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


def shared_core() -> Any:
    """Return the ``openvino.Core`` of this process, which lives as long as the process.

    The first thread that uses a core gets its signal stack (sigaltstack) from it. If another thread destroys
    the core, that memory is unmapped and still registered: the next signal, such as SIGTERM, ends the process
    by SIGSEGV (seen with OpenVINO 2026.4). A model that takes over releases the earlier one in this way.

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
    """Keep openvino from importing its converter, a fifth of its import time; only ``optimise`` needs it.

    None in ``sys.modules`` makes a module missing, and openvino does without a missing converter.
    """
    converter = sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        if converter is None:
            del sys.modules[_CONVERTER]
