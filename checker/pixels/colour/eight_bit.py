"""Convert samples of more than 8 bits to 8 bits, by the same rule for every format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from checker.values import Pixels

Samples = npt.NDArray[Any]
_ROWS = 64


def to_eight_bit(values: Samples, white: float | None = None) -> Pixels:
    """Scale samples ``(H, W, ...)`` of any number type to uint8.

    Integers that use the top two bits of their type are taken to span the range of the type. A TIFF does not
    state its white level, so other integers (10, 12 or 14 sensor bits in 16) are stretched until the
    brightest sample is white, and so are floats above 1.

    Args:
        white: the sample value of white, if the format states it.
    """
    if white is None:
        white = _white(values.dtype, _brightest(values))
    levels: Pixels | None = None
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:  # a table takes a quarter of the time
        levels = _scaled(np.arange(2 ** (8 * values.dtype.itemsize)), white)
    result = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), _ROWS):  # in bands: floats take four times the memory of the image
        band = values[row : row + _ROWS]
        result[row : row + _ROWS] = _scaled(band, white) if levels is None else levels[band]
    return result


def _brightest(values: Samples) -> float:
    if values.dtype.kind in "ui":
        return int(values.max(initial=0))  # as a float, the highest of 64 bits would be beyond their range
    return float(np.nanmax(values, initial=0, where=np.isfinite(values)))


def _scaled(values: Samples, white: float) -> Pixels:
    numbers = np.nan_to_num(values.astype(np.float32), posinf=white)
    return np.asarray(np.clip(numbers, 0, white) * (255 / white) + 0.5, dtype=np.uint8)


def alpha_to_eight_bit(values: Samples, opaque: float | None = None) -> Pixels:
    """Scale opacity to uint8. It spans the range of its type, unless ``opaque`` is given."""
    if opaque is None:
        opaque = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    return np.asarray(np.clip(values.astype(np.float32) / opaque, 0, 1) * 255 + 0.5, dtype=np.uint8)


def _white(dtype: np.dtype[Any], brightest: float) -> float:
    if dtype.kind == "f":
        return 1.0 if brightest <= 1 else max(255.0, brightest)
    for bits in (16, 32, 64) if dtype.kind == "u" else (15, 16, 31, 63):
        if bits <= 8 * dtype.itemsize and 2 ** (bits - 2) <= brightest < 2**bits:
            return float(2**bits - 1)
    return float(max(min(255, np.iinfo(dtype).max), brightest))  # 8 bits at least, of which int8 has 7
