"""Detection of soft photos (blurred, enlarged or nearly black), which models tend to misjudge."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from checker.values import Pixels

LEAST_SHARPNESS = 0.6
"""Of 400 photos of pets and things 1 % are below; of the same photos blurred by 1/120 of the longer side, or
reduced to 64 px, all are."""
LEAST_CONTRAST = 20
"""Out of 255, for the second difference: anything below is JPEG noise, which is sharp."""
LEAST_LIGHT = 80
"""Out of 255: ordinary photos have brighter areas; 1 % of the same 400 have nothing above 142."""


def is_soft(square: Pixels) -> bool:
    """Return True if a model input, uint8 ``(S, S, 3)``, has too little detail or light for a safe verdict.

    Sharpness is the strongest second difference between neighbouring pixels, in relation to the strongest
    first one: an edge that takes several pixels to rise has small second differences, whatever its contrast.
    The "strongest" is the 99th percentile.
    """
    # The sum of the channels, three times the grey value: integers are counted, not sorted, in a sixth of the
    # time.
    grey = square[..., 0].astype(np.int16) + square[..., 1] + square[..., 2]
    if percentile(grey, 98) < 3 * LEAST_LIGHT:
        return True
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    second = percentile(np.abs(4 * grey[1:-1, 1:-1] - neighbours), 99)
    first = percentile(np.abs(np.diff(grey, axis=0)[:, :-1]) + np.abs(np.diff(grey, axis=1)[:-1]), 99)
    return second < max(LEAST_SHARPNESS * first, 3 * LEAST_CONTRAST)


def percentile(values: npt.NDArray[np.integer[Any]], percent: float) -> float:
    """Compute what ``np.percentile`` does, of small integers from 0 on."""
    place = (values.size - 1) * percent / 100
    below = int(place)
    # The values at this place and at the next one, if all were sorted.
    up_to = np.bincount(values.ravel()).cumsum()
    low, high = np.searchsorted(up_to, (below, min(below + 1, values.size - 1)), side="right")
    return float(low + (high - low) * (place - below))
