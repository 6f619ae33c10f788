"""The variants of a model: a runtime with a precision each. Selection tries the fastest variant first."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from checker.decision.profile import Profile, ProfileKey, find_profile
from checker.decision.subject import Subject
from models import openvino_ir
from models.catalogue import Entry
from models.digest import verify
from models.errors import ModelsError
from models.processor import cpu_flags, multiplies_bf16
from models.recipes import recipes

# Fastest first, as measured by scripts/benchmark_speed.py.
_ON_CPU = (
    ("openvino", "int8"),
    ("openvino", "bf16"),
    ("torch", "bf16"),
    ("openvino", "fp32"),
    ("torch", "fp32"),
)
_ON_GPU = (("torch", "fp16"), ("torch", "bf16"), ("torch", "fp32"))
_GPU_RUNTIMES = frozenset({"auto", *(runtime for runtime, _ in _ON_GPU)})
# Importing torch to find a GPU takes seconds and memory, so this is done only if one of these drivers exists.
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


@dataclass(frozen=True, slots=True)
class RuntimeRequest:
    """The runtime settings of a site or of one run of the folder tool."""

    device: str
    """``auto`` (a GPU if there is one), ``cpu`` or ``cuda``."""
    runtime: str
    """``auto``, ``torch`` or ``openvino``."""
    precision: str
    """``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``."""
    max_fpr: float
    max_fnr: float
    profile_folders: tuple[Path, ...]
    """Searched in this order: the site's profiles before the shipped profiles."""
    weights_dir: Path
    """Folder of the OpenVINO variants made on this machine."""
    workers: int = 0
    """Threads that will call the classifier; 0: one per core."""
    decoder: str = "cpu"
    """``cpu``, or ``nvjpeg`` on a GPU (experimental)."""
    cuda_graphs: bool = False
    """Record CUDA graphs on a GPU (experimental)."""
    batching_window_ms: float = 0.0
    """On a GPU, how long a forward pass waits for more micro-batches (experimental)."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A model in one runtime and precision, not loaded yet."""

    runtime: str
    precision: str
    manifest: openvino_ir.Manifest | None
    """The files of an OpenVINO variant."""
    profile: Profile | None
    """None: the error rates of the variant were not measured."""
    fault: str = ""
    """One plain sentence that says why the variant's files can't be used; empty if no reason is known yet."""

    def __str__(self) -> str:
        return f"{'OpenVINO' if self.runtime == 'openvino' else self.runtime} {self.precision}"


def variants(entry: Entry, path: Path, subject: Subject, request: RuntimeRequest) -> Iterator[Variant]:
    """Yield the available variants that match the request, fastest first, including those with a ``fault``.

    Raises:
        ModelRefused: a profile is broken.
    """
    runs = by_speed(request)
    on_gpu = runs is _ON_GPU
    if request.device == "cuda" and not on_gpu:
        return
    preprocessing = entry.decoded_by(request.decoder).preprocessing
    for runtime, precision in runs:
        if request.runtime not in ("auto", runtime) or request.precision not in ("auto", precision):
            continue
        if runtime == "openvino" and request.decoder != "cpu":
            continue  # OpenVINO runs on the CPU, where nvjpeg does not decode
        if runtime == "torch" and request.runtime == "auto" and not has_torch():
            continue
        if (precision, request.precision) == ("bf16", "auto") and not (
            on_gpu or multiplies_bf16(cpu_flags())
        ):
            continue  # torch emulates bf16, which is slower than fp32, and OpenVINO refuses it
        weights, faults = _weights(entry, path, request, runtime, precision)
        for fault in faults:
            yield Variant(runtime, precision, manifest=None, profile=None, fault=fault)
        for weights_sha256, manifest in weights:
            key = ProfileKey(weights_sha256, preprocessing.key, runtime, precision, subject)
            yield Variant(runtime, precision, manifest, find_profile(key, request.profile_folders))


def not_made(
    entry: Entry, path: Path, subject: Subject, request: RuntimeRequest, serving: Variant
) -> Iterator[Variant]:
    """Yield OpenVINO variants that are faster than ``serving``, not on disk, and can be made without photos.

    int8 can be made without photos if there is a recipe. An unmeasured variant is not yielded if the serving
    variant was measured, because it could not take over.
    """
    if (serving.runtime, serving.precision) not in _ON_CPU or request.decoder != "cpu":
        return
    faster = _ON_CPU[: _ON_CPU.index((serving.runtime, serving.precision))]
    for runtime, precision in faster:
        if runtime != "openvino":
            continue
        if request.runtime not in ("auto", runtime) or request.precision not in ("auto", precision):
            continue
        if precision == "bf16" and not multiplies_bf16(cpu_flags()):
            continue
        if _is_on_disk(entry, request.weights_dir, precision):
            continue
        try:
            weights_sha256 = verify(entry, path)
        except ModelsError:  # nothing can be made from these weights, which the serving variant does not need
            return
        if precision == "int8":
            recipe = next(recipes(entry, weights_sha256), None)
            if recipe is None:
                continue
            weights_sha256 = recipe.weights_sha256
        key = ProfileKey(weights_sha256, entry.preprocessing.key, runtime, precision, subject)
        profile = find_profile(key, request.profile_folders)
        if profile is not None or (serving.profile is None and precision == serving.precision):
            yield Variant(runtime, precision, manifest=None, profile=profile)


def _weights(
    entry: Entry, path: Path, request: RuntimeRequest, runtime: str, precision: str
) -> tuple[Sequence[tuple[str, openvino_ir.Manifest | None]], Sequence[str]]:
    """List the weights in this runtime and precision, and the reasons why other files can't be used.

    Weights are a pair of their sha256 and, for OpenVINO, their manifest.
    """
    if runtime == "torch":
        try:
            return [(verify(entry, path), None)], []
        except ModelsError as error:
            return [], [str(error)]
    damaged: list[ModelsError] = []
    manifests = openvino_ir.manifests(entry, request.weights_dir, precision, damaged.append)
    return [(manifest.weights_sha256, manifest) for manifest in manifests], list(map(str, damaged))


def _is_on_disk(entry: Entry, weights_dir: Path, precision: str) -> bool:
    """Return True if the variant exists and is complete; a damaged variant is made again."""
    try:
        manifests = openvino_ir.manifests(entry, weights_dir, precision)
        for manifest in manifests:
            openvino_ir.verify(manifest)
    except ModelsError:
        return False
    return bool(manifests)


def by_speed(request: RuntimeRequest) -> Sequence[tuple[str, str]]:
    """Return runtimes and precisions of the requested device, fastest first."""
    return _ON_GPU if _on_gpu(request) else _ON_CPU


def has_torch() -> bool:
    """Return True if torch is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None


def _on_gpu(request: RuntimeRequest) -> bool:
    return request.runtime in _GPU_RUNTIMES and request.device != "cpu" and _has_gpu()


def _has_gpu() -> bool:
    has_driver = any(Path(driver).exists() for driver in _GPU_DRIVERS)
    if not (has_driver and has_torch()):
        return False
    with suppress(importlib.metadata.PackageNotFoundError):  # torch was not installed as a package
        if importlib.metadata.version("torch").endswith("+cpu"):
            return False
    import torch

    return torch.cuda.is_available()
