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
    weights_dir: Path | None = None,
) -> Classifier:
    """The network on its device, weights checked.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        runtime: ``auto`` is ``torch``; ``openvino`` takes what ``catloader models optimise`` made.
        precision: ``auto``: fp32 on the CPU, fp16 on a GPU.
        threads: compute threads of one forward pass on the CPU, for torch.
        weights_dir: where OpenVINO's networks lie; beside ``path`` if None.
    Raises:
        ModelRefused: the weights do not hold, or there is no such device; one plain sentence.
    """
    if runtime not in ("auto", "torch", "openvino"):
        raise ModelRefused(f"There is no runtime called {runtime!r} here.")
    try:
        if runtime == "openvino":
            return _openvino(entry, weights_dir or path.parent, device, precision)
        from checker.torch_runtime import TorchClassifier

        return TorchClassifier(entry, path, device=device, precision=precision, threads=threads)
    except ModelsError as error:
        raise ModelRefused(str(error)) from error


def _openvino(entry: Entry, weights_dir: Path, device: str, precision: str) -> Classifier:
    if device == "cuda":
        raise ModelRefused("OpenVINO runs on the CPU; CATCHECK_RUNTIME=torch runs on a GPU.")
    from checker.openvino_runtime import OpenVinoClassifier
    from models.openvino_ir import get

    return OpenVinoClassifier(entry, get(entry, weights_dir, "fp32" if precision == "auto" else precision))
