"""Names of the variants and models that the speed benchmark compares; this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MODELS = ("resnet50", "resnet18", "efficientnet_lite0")
OTHERS = ("torchvision", "transformers", "onnxruntime")
"""The loops of three other libraries, written as in their documentation."""
CATLOADER = ("openvino-int8", "openvino-bf16", "openvino-fp32", "torch-bf16", "torch-fp32")
WHOLE = "-whole"
"""Suffix of a variant that processes a photo's three inputs, as the site does, instead of one square."""
WHOLE_PHOTO: tuple[str, ...] = tuple(f"{name}{WHOLE}" for name in ("openvino-int8", "openvino-fp32"))
GRAPHS, WINDOW, NVJPEG = "graphs", "window", "nvjpeg"
"""The experimental settings for GPUs: CUDA graphs, a batching window of ``WINDOW_MS``, the decoder nvJPEG."""
WINDOW_MS = 3.0
ON_GPU = (
    "torchvision",
    "transformers",
    "torch-fp16",
    *(f"torch-fp16-{option}" for option in (GRAPHS, WINDOW, NVJPEG)),
    "torch-bf16",
    "torch-fp32",
    *(f"torch-fp16{option}{WHOLE}" for option in ("", f"-{GRAPHS}", f"-{WINDOW}", f"-{NVJPEG}")),
)
PACKAGES = {
    "transformers": ("transformers",),
    "onnxruntime": ("onnxruntime", "onnxscript"),
    **dict.fromkeys(("openvino-int8", f"openvino-int8{WHOLE}"), ("nncf",)),
    **dict.fromkeys((f"torch-fp16-{NVJPEG}", f"torch-fp16-{NVJPEG}{WHOLE}"), ("torchcodec",)),
}
"""Variant -> the packages of ``requirements-bench.txt`` that it needs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Extent of one run."""

    models: Sequence[str]
    variants: Sequence[str]
    device: str
    rounds: int
    turn_s: float
    """Length of one measurement in seconds; at least all photos, or one batch, are measured once."""
    single_photos: int
    """Number of single photos in one latency measurement."""
    large_photos: int
    """Number of different photos with 12 megapixels; each takes about two seconds to make."""
