"""Windows of a feature map: parts of the input that are classified like the whole.

A classifier that follows an average over the last feature map can be applied to the average over any part
of it, at the cost of one small matrix product. A subject that fills only a corner of the input stands out
there, while the average over the whole map would hide it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WINDOWS = 5
"""The whole map first, then its four overlapping corners."""


def windowed(feature_map: Tensor) -> Tensor:
    """Average a feature map ``(N, C, h, w)`` over each window: ``(N, WINDOWS, C)``.

    A corner is 4/7 as wide and high as the map, so that corners overlap.
    """
    height, width = (-(-4 * size // 7) for size in feature_map.shape[2:])
    corners = [
        feature_map[:, :, rows, columns]
        for rows in (slice(None, height), slice(-height, None))
        for columns in (slice(None, width), slice(-width, None))
    ]
    averages = [functional.adaptive_avg_pool2d(window, 1).flatten(1) for window in (feature_map, *corners)]
    return torch.stack(averages, dim=1)
