"""Convert Keras's ResNet-50 of 2015 to parameters for ``models.architectures.resnet``, with equal logits.

Keras's model is that of He et al. (arXiv 1512.03385), trained with Caffe: BGR channels, convolutions with
biases, batch norms with an epsilon of 1e-3, and the stride on the first 1x1 convolution of a stage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
"""``layer/parameter`` -> values, named and laid out as in Keras: ``conv1/kernel`` is (7, 7, 3, 64)."""

KERAS_EPSILON, TORCH_EPSILON = 1e-3, 1e-5
BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}
"""Stage -> the letters of its blocks."""
_BLOCK = re.compile(r"(res|bn)([2-5])([a-f])_branch(1|2a|2b|2c)")


def is_keras_resnet50(arrays: Arrays) -> bool:
    """Return True if the names are exactly those of the model's parameters."""
    convolutions = [_convolution_of(norm) for norm in _norms()]
    expected = {f"{layer}/{name}" for layer in [*convolutions, "fc1000"] for name in ("kernel", "bias")}
    expected |= {
        f"{layer}/{name}"
        for layer in _norms()
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    return arrays.keys() == expected


def convert(arrays: Arrays) -> dict[str, npt.NDArray[np.float32]]:
    """Return the parameters as ``models.architectures.resnet`` names them; float32.

    The arithmetic is done in float64 and rounded once, so every machine gets the same bits.
    """
    exact = {name: np.asarray(values, np.float64) for name, values in arrays.items()}
    converted: dict[str, npt.NDArray[np.float64]] = {}
    for norm in _norms():
        convolution = _convolution_of(norm)
        kernel = exact[f"{convolution}/kernel"].transpose(3, 2, 0, 1)
        if convolution == "conv1":
            kernel = kernel[:, ::-1]  # from BGR to RGB
        converted[f"{_torch_name(convolution)}.weight"] = kernel
        target = _torch_name(norm)
        converted[f"{target}.weight"] = exact[f"{norm}/gamma"]
        converted[f"{target}.bias"] = exact[f"{norm}/beta"]
        # The convolution's bias is added before the mean is subtracted, so it can be folded into the mean.
        converted[f"{target}.running_mean"] = exact[f"{norm}/moving_mean"] - exact[f"{convolution}/bias"]
        converted[f"{target}.running_var"] = exact[f"{norm}/moving_variance"] + (
            KERAS_EPSILON - TORCH_EPSILON
        )
    converted["fc.weight"] = exact["fc1000/kernel"].T
    converted["fc.bias"] = exact["fc1000/bias"]
    return {name: np.ascontiguousarray(values, np.float32) for name, values in converted.items()}


def _norms() -> list[str]:
    blocks = [(stage, letter) for stage, letters in BLOCKS.items() for letter in letters]
    return ["bn_conv1"] + [
        f"bn{stage}{letter}_branch{branch}"
        for stage, letter in blocks
        for branch in (["1"] if letter == "a" else []) + ["2a", "2b", "2c"]
    ]


def _convolution_of(norm: str) -> str:
    return "conv1" if norm == "bn_conv1" else norm.replace("bn", "res", 1)


def _torch_name(layer: str) -> str:
    if layer in ("conv1", "bn_conv1"):
        return "conv1" if layer == "conv1" else "bn1"
    match = _BLOCK.fullmatch(layer)
    assert match
    kind, stage, letter, branch = match.groups()
    block = f"layer{int(stage) - 1}.{'abcdef'.index(letter)}"
    if branch == "1":
        return f"{block}.downsample.{0 if kind == 'res' else 1}"
    return f"{block}.{'conv' if kind == 'res' else 'bn'}{'abc'.index(branch[1]) + 1}"
