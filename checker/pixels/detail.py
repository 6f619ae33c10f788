"""Detection of soft photos (blurred, enlarged or nearly black), which models tend to misjudge."""

from __future__ import annotations

import numpy as np

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
    grey = square.astype(np.float32).mean(axis=2)
    if np.percentile(grey, 98) < LEAST_LIGHT:
        return True
    inner = grey[1:-1, 1:-1]
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    second = np.percentile(np.abs(4 * inner - neighbours), 99)
    first = np.percentile(np.abs(np.diff(grey, axis=0)[:, :-1]) + np.abs(np.diff(grey, axis=1)[:-1]), 99)
    return bool(second < max(LEAST_SHARPNESS * first, LEAST_CONTRAST))
