"""Step 9, classify: the runtimes behind the one ``Classifier`` seam.

This module imports no runtime by itself: the OpenVINO path must start without torch, and the web
process without either.
"""

from __future__ import annotations

from pathlib import Path

from checker.errors import ModelRefused
from checker.ports import Classifier
from models.catalogue import Entry
from models.errors import ModelsError


def load_classifier(
    entry: Entry,
    path: Path,
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int = 1,
) -> Classifier:
    """The network on its device, weights checked.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        runtime: ``auto`` is ``torch``.
        precision: ``auto``: fp32 on the CPU, fp16 on a GPU.
        threads: compute threads of one forward pass on the CPU.
    Raises:
        ModelRefused: the weights do not hold, or there is no such device; one plain sentence.
    """
    if runtime not in ("auto", "torch"):
        raise ModelRefused(f"There is no runtime called {runtime!r} here.")
    from checker.torch_runtime import TorchClassifier

    try:
        return TorchClassifier(entry, path, device=device, precision=precision, threads=threads)
    except ModelsError as error:
        raise ModelRefused(str(error)) from error
