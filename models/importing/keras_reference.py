"""Compute the logits of Keras's ResNet-50 from its original parameters, as the reference for a conversion.

No parameters are folded or renamed, and the arithmetic is in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.importing.keras_resnet import BLOCKS, KERAS_EPSILON, Arrays

_MEAN_BGR = (103.939, 116.779, 123.68)
"""Mean of Caffe's ImageNet, as in Keras's ``preprocess_input`` with ``mode="caffe"``."""


@torch.inference_mode()
def keras_logits(arrays: Arrays, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Compute the logits (before Keras's softmax) of uint8 RGB pixels (N, 224, 224, 3): float64 (N, 1000)."""
    bgr = torch.from_numpy(pixels[..., ::-1].astype(np.float64)) - torch.tensor(
        _MEAN_BGR, dtype=torch.float64
    )
    x = functional.pad(bgr.permute(0, 3, 1, 2), (3, 3, 3, 3))
    x = functional.relu(_normalised(arrays, "bn_conv1", _convolved(arrays, "conv1", x, stride=2)))
    x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, letters in BLOCKS.items():
        for letter in letters:
            x = _block(arrays, f"{stage}{letter}", x, stride=2 if letter == "a" and stage > 2 else 1)
    logits = x.mean((2, 3)) @ _tensor(arrays, "fc1000/kernel") + _tensor(arrays, "fc1000/bias")
    return logits.numpy()


def _block(arrays: Arrays, name: str, x: Tensor, stride: int) -> Tensor:
    def branch(suffix: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        y = _convolved(arrays, f"res{name}_branch{suffix}", x, stride, padding)
        return _normalised(arrays, f"bn{name}_branch{suffix}", y)

    y = functional.relu(branch("2a", x, stride))
    y = functional.relu(branch("2b", y, padding=1))
    y = branch("2c", y)
    return functional.relu(y + (branch("1", x, stride) if name.endswith("a") else x))


def _convolved(arrays: Arrays, layer: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    kernel = _tensor(arrays, f"{layer}/kernel").permute(3, 2, 0, 1)
    return functional.conv2d(x, kernel, _tensor(arrays, f"{layer}/bias"), stride, padding)


def _normalised(arrays: Arrays, layer: str, x: Tensor) -> Tensor:
    gamma, beta, mean, variance = (
        _tensor(arrays, f"{layer}/{name}").view(1, -1, 1, 1)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (x - mean) / torch.sqrt(variance + KERAS_EPSILON) * gamma + beta


def _tensor(arrays: Arrays, name: str) -> Tensor:
    return torch.from_numpy(np.asarray(arrays[name], np.float64))
