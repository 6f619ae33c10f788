"""Names of the variants and models that the speed benchmark compares, and its plan; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MODELS = ("resnet50", "resnet18", "efficientnet_lite0")
OTHERS = ("torchvision", "transformers", "onnxruntime")
"""Loops as the documentation of three libraries shows them."""
CATLOADER = ("openvino-int8", "openvino-bf16", "openvino-fp32", "torch-bf16", "torch-fp32")
WHOLE = "-whole"
"""Ends the name of a variant that sees a photo's three inputs, as the site does, and not one square."""
WHOLE_PHOTO: tuple[str, ...] = tuple(f"{name}{WHOLE}" for name in ("openvino-int8", "openvino-fp32"))
ON_GPU = ("torchvision", "transformers", "torch-fp16", "torch-fp16-nvjpeg", "torch-bf16")
PACKAGES = {
    "transformers": ("transformers",),
    "onnxruntime": ("onnxruntime", "onnxscript"),
    "openvino-int8": ("nncf",),
    "torch-fp16-nvjpeg": ("torchcodec",),
}
"""Packages of ``requirements-bench.txt``, by the variant that needs them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Extent of one run."""

    models: Sequence[str]
    variants: Sequence[str]
    device: str
    rounds: int
    turn_s: float
    """Length of a variant's turn; at least one round of its photos or batches."""
    single_photos: int
    """Single photos in one turn, for the latency."""
    large_photos: int
    """Different photos of 12 megapixels: each takes about two seconds to make."""
