"""Detect soft photos (blurred, enlarged, nearly black) and drawings, which models tend to misjudge."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from checker.values import Detail, Pixels

_Sums = npt.NDArray[np.int16]

LEAST_SHARPNESS = 0.6
"""Of 400 photos of pets and things, 1 % are below this sharpness; of the same photos blurred by 1/120 of the
longer side, or reduced to 64 px, all are below."""
LEAST_CONTRAST = 20
"""Smallest second difference that counts, out of 255: smaller ones are JPEG noise, which is sharp."""
LEAST_LIGHT = 80
"""Out of 255. Ordinary photos have brighter areas; 1 % of the same 400 photos have nothing above 142."""
MOST_ROUGHNESS = 1.5
"""Mean second difference divided by the mean first difference. Of 3 163 photos one exceeds this; of photos
reduced to black and white dots (dithered), 92 % do."""
LEAST_AREA_CONTRAST = 0.65
"""Of the same 3 163 photos 0.2 % are below this contrast, no cat among them; of lines, contours and reliefs
computed from photos 92 % are below. See docs/decisions/0002-the-score.md."""
LEAST_GREY_AREA_CONTRAST = 0.75
"""The same bound for photos without colour: many drawings, and 1 % of photos."""
MOST_GREY_COLOUR = 10
"""Largest minus smallest channel, out of 255, that counts as no colour."""
_EMPTY = 3
"""Standard deviation, out of 255, of noise in a photo that shows nothing."""
_AREAS = 28
"""Number of areas along each side: 8 x 8 pixels each in an input of 224."""


def detail_of(square: Pixels) -> Detail:
    """Measure the detail of a model input, uint8 ``(S, S, 3)``."""
    # The sum of the channels is three times the grey value. Percentiles of integers need counting instead of
    # sorting, which takes a sixth of the time.
    grey = square[..., 0].astype(np.int16) + square[..., 1] + square[..., 2]
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    second = np.abs(4 * grey[1:-1, 1:-1] - neighbours)
    first = np.abs(np.diff(grey, axis=0)[:, :-1]) + np.abs(np.diff(grey, axis=1)[:-1])
    return Detail(_is_soft(grey, first, second), _is_drawn(square, grey, first, second))


def _is_soft(grey: _Sums, first: _Sums, second: _Sums) -> bool:
    """Return True if there is too little detail or light for a safe verdict.

    Sharpness is the strongest second difference between neighbouring pixels, divided by the strongest first
    difference: an edge that takes several pixels to rise has small second differences at any contrast.
    "Strongest" means the 99th percentile.
    """
    if percentile(grey, 98) < 3 * LEAST_LIGHT:
        return True
    return percentile(second, 99) < max(LEAST_SHARPNESS * percentile(first, 99), 3 * LEAST_CONTRAST)


def _is_drawn(square: Pixels, grey: _Sums, first: _Sums, second: _Sums) -> bool:
    """Return True if the contrast is in lines or dots and not, as in photos, between large areas.

    The contrast between areas is the standard deviation of their means, divided by that of the pixels.
    """
    deviation = grey.std()
    if deviation < 3 * _EMPTY:
        return False
    if second.mean() > MOST_ROUGHNESS * first.mean():
        return True
    side = len(grey) // _AREAS
    areas = grey[: side * _AREAS, : side * _AREAS].reshape(_AREAS, side, _AREAS, side).mean(axis=(1, 3))
    share = areas.std() / deviation
    if share >= LEAST_GREY_AREA_CONTRAST:
        return False
    return bool(share < LEAST_AREA_CONTRAST or percentile(_colours(square), 90) <= MOST_GREY_COLOUR)


def _colours(square: Pixels) -> Pixels:
    """Return the largest minus the smallest channel of each pixel."""
    red, green, blue = (square[..., channel] for channel in range(3))  # max(axis=2) takes 30 times as long
    return np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)


def percentile(values: npt.NDArray[np.integer[Any]], percent: float) -> float:
    """Compute ``np.percentile`` of small integers that are not negative."""
    place = (values.size - 1) * percent / 100
    below = int(place)
    # The values that would be at this place and at the next place if all were sorted.
    up_to = np.bincount(values.ravel()).cumsum()
    low, high = np.searchsorted(up_to, (below, min(below + 1, values.size - 1)), side="right")
    return float(low + (high - low) * (place - below))
