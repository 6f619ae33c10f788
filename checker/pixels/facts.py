"""Facts about a photo's pixels that accuracy may depend on."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

_SIDE_PX = 256
"""Shorter side at which sharpness is measured: about that of a model input. No photo is enlarged."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a stored photo."""

    width_px: int
    height_px: int
    sharpness: float
    """Standard deviation of the Laplacian, in grey levels: near 0 if nothing is in focus."""
    brightness: float
    """Mean grey level, 0..255."""
    colour: float
    """Mean difference between the most and the least intense channel, 0..255; 0 for a grey photo."""


def facts_of(photo: bytes) -> Facts:
    """Measure an encoded photo."""
    with Image.open(io.BytesIO(photo)) as image:
        width, height = image.size
        image.draft("RGB", (_SIDE_PX, _SIDE_PX))
        small = image.convert("RGB")
    scale = min(_SIDE_PX / min(small.size), 1)
    if scale < 1:
        size = (round(small.width * scale), round(small.height * scale))
        small = small.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float64)
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    return Facts(
        width_px=width,
        height_px=height,
        sharpness=round(_laplacian(grey), 2),
        brightness=round(float(grey.mean()), 1),
        colour=round(float((pixels.max(axis=2) - pixels.min(axis=2)).mean()), 1),
    )


def _laplacian(grey: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    centre = grey[1:-1, 1:-1]
    sides = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((sides - 4 * centre).std())
