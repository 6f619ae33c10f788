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
from models.openvino_ir import Manifest, get


def load_classifier(
    entry: Entry,
    path: Path,
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    weights_dir: Path | None = None,
    manifest: Manifest | None = None,
    workers: int = 0,
) -> Classifier:
    """The network on its device, weights checked. ``choice.load_checker`` knows which is the fastest.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        runtime: ``auto`` is ``torch``; ``openvino`` takes what ``catloader models optimise`` made.
        precision: ``auto``: fp32 on the CPU, fp16 on a GPU.
        threads: compute threads of one forward pass on the CPU, for torch.
        weights_dir: where your own OpenVINO networks lie; beside ``path`` if None.
        manifest: the OpenVINO network; None: the newest of that precision.
        workers: threads that will call it at once, for OpenVINO; 0: one per core.
    Raises:
        ModelRefused: the weights do not hold, or there is no such device; one plain sentence.
    """
    if runtime not in ("auto", "torch", "openvino"):
        raise ModelRefused(f"There is no runtime called {runtime!r} here.")
    try:
        if runtime == "openvino":
            if device == "cuda" or entry.preprocessing.decoder == "nvjpeg":
                raise ModelRefused("OpenVINO runs on the CPU; runtime torch runs on a GPU.")
            from checker.runtimes.openvino_runtime import OpenVinoClassifier

            if manifest is None:
                manifest = get(
                    entry, weights_dir or path.parent, "fp32" if precision == "auto" else precision
                )
            return OpenVinoClassifier(entry, manifest, workers=workers)
        from checker.runtimes.torch_runtime import TorchClassifier

        return TorchClassifier(entry, path, device=device, precision=precision, threads=threads)
    except ModelsError as error:
        raise ModelRefused(str(error)) from error
