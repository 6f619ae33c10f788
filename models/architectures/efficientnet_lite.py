"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6, for small devices.

Parameters have the names of the ``efficientnet-lite-pytorch`` package, whose files contain the weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.windows import windowed
from models.catalogue import CLASSES

# Kernel, stride, expansion, channels, repeats: the table in the EfficientNet paper (arXiv 1905.11946).
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}
_STEM, _HEAD = 32, 1280  # not scaled in the Lite family


def _channels(base: int, width: float) -> int:
    """Round ``base * width`` to a multiple of 8, at most a tenth below it."""
    exact = base * width
    channels = max(8, int(exact + 4) // 8 * 8)
    return channels + 8 if channels < 0.9 * exact else channels


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which puts the odd pixel at the right and bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # At stride 1 the padding is symmetric, so the convolution can pad without a copy.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding=padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(same_padded(x, self.kernel_size[0], self.stride[0]))


def same_padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad the input of a strided ``SameConv2d``; at stride 1 the convolution pads its input itself."""
    if stride == 1:
        return x
    size = int(x.shape[-1])
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    before, after = total // 2, total - total // 2
    return functional.pad(x, (before, after, before, after))


def _relu6(x: Tensor) -> Tensor:
    return functional.relu6(x, inplace=True)  # new tensors would make the whole pass a fifth slower


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self._is_residual = stride == 1 and inputs == outputs
        self._expands = expansion != 1
        if self._expands:
            self._expand_conv = SameConv2d(inputs, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv2d(wide, outputs, 1)
        self._bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = _relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = _relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return torch.add(y, x) if self._is_residual else y


class EfficientNetLite(nn.Module):
    """``forward`` maps ``(N, 3, H, W)`` to features ``(N, WINDOWS, 1280)`` and logits ``(N, WINDOWS, 1000)``.

    H and W are multiples of 4, so that the padding of every stage is the same on both axes.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        width, depth = _SCALES[name]
        self._conv_stem = SameConv2d(3, _STEM, 3, 2)
        self._bn0 = _norm(_STEM)
        blocks, inputs = [], _STEM
        for number, (kernel, stride, expansion, base, repeats) in enumerate(_STAGES):
            outputs = _channels(base, width)
            ends = number in (0, len(_STAGES) - 1)  # first and last stage keep their depth in the Lite family
            for repeat in range(repeats if ends else math.ceil(repeats * depth)):
                blocks.append(_Block(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(inputs, _HEAD, 1)
        self._bn1 = _norm(_HEAD)
        self._fc = nn.Linear(_HEAD, CLASSES)

    def feature_map(self, x: Tensor) -> Tensor:
        """Compute the last feature map, ``(N, 1280, h, w)``."""
        x = _relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return _relu6(self._bn1(self._conv_head(x)))

    def classify(self, features: Tensor) -> Tensor:
        """Compute the logits of features averaged over a window, ``(..., 1280)``."""
        logits: Tensor = self._fc(features)
        return logits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = windowed(self.feature_map(x))
        return features, self.classify(features)
