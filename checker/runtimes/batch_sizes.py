"""The sizes of forward passes on a GPU. There are few of them, because the first pass of each size is slow.

cuDNN prepares its kernels for each shape. With EfficientNet-Lite 0 in fp16 on an H200 the first pass of a
size took 1.3 to 3.4 s and each later pass 3 to 21 ms; with ResNet-50 it was 80 ms, and 4 to 30 ms.
"""

from __future__ import annotations

from checker.values import INPUTS_PER_PHOTO

SIZES = tuple(INPUTS_PER_PHOTO << doubling for doubling in range(7))
"""Inputs of 1 to 64 photos. Up to 48 inputs the time hardly depends on the size, so padding costs nothing."""


def next_size(inputs: int) -> int:
    """Return the smallest size that fits this number of inputs; the largest size if none does."""
    return next((size for size in SIZES if size >= inputs), SIZES[-1])
