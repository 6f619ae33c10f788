"""Load one variant of a model.

Each runtime is imported when it is used, so OpenVINO runs without torch, and the web process without either.
"""

from __future__ import annotations

from pathlib import Path

from checker.errors import ModelRefused
from checker.ports import Classifier
from checker.runtimes.names import RUNTIMES
from models.catalogue import Entry
from models.errors import ModelsError
from models.openvino_ir import Manifest, get
from models.processor import cpu_flags, multiplies_bf16


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
    cuda_graphs: bool = False,
) -> Classifier:
    """Load a model onto its device, with verified weights. ``select`` finds the fastest variant.

    Args:
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        runtime: ``auto`` is ``torch``; ``openvino`` runs a variant made by ``catloader models optimise``.
        precision: ``auto`` is fp32 on the CPU, fp16 on a GPU.
        threads: compute threads of one forward pass on the CPU, for torch.
        weights_dir: folder of the OpenVINO variants made on this machine; by default the folder of ``path``.
        manifest: the OpenVINO variant; None: the newest one of this precision.
        workers: threads that will call the classifier at once, for OpenVINO; 0: one per core.
        cuda_graphs: record CUDA graphs on a GPU, for torch.
    Raises:
        ModelRefused: the weights differ from the catalogue, or the device or the runtime is missing; one
            plain sentence.
    """
    if runtime not in RUNTIMES:
        raise ModelRefused(f"There is no runtime called {runtime!r} here.")
    try:
        if runtime == "openvino":
            if device == "cuda" or entry.preprocessing.decoder == "nvjpeg":
                raise ModelRefused("OpenVINO runs on the CPU; runtime torch runs on a GPU.")
            from checker.runtimes.openvino_runtime import OpenVinoClassifier

            if manifest is None:
                precision = "fp32" if precision == "auto" else precision
                if precision == "bf16" and not multiplies_bf16(cpu_flags()):
                    raise ModelRefused("This processor does not compute in bf16; fp32 runs everywhere.")
                manifest = get(entry, weights_dir or path.parent, precision)
            return OpenVinoClassifier(entry, manifest, workers=workers)
        try:
            from checker.runtimes.torch_runtime import TorchClassifier
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ModelRefused(
                "The torch runtime is not installed; `pip install torch` installs it."
            ) from error

        return TorchClassifier(
            entry, path, device=device, precision=precision, threads=threads, cuda_graphs=cuda_graphs
        )
    except ModelsError as error:
        raise ModelRefused(str(error)) from error
