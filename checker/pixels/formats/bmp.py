"""Rewrite BMP files whose channels have a position or width that Pillow does not read."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from checker.pixels.colour.eight_bit import Samples

_FIRST_BYTES, _SHORT_HEADER, _HEADER_WITH_ALPHA = 14, 40, 56
_MASKS, _MASKS_WITH_ALPHA = 3, 6
"""Values of the compression field: uncompressed, with masks of the channels."""
_RED, _GREEN, _BLUE, _ALPHA = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
_READ: dict[int, set[tuple[int, ...]]] = {
    16: {(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)},
    32: {
        (red, green, blue, alpha)
        for red, green, blue in ((_RED, _GREEN, _BLUE), (_ALPHA, _RED, _GREEN))
        for alpha in (0, _ALPHA if red == _RED else _BLUE)
    },
}
"""Bits of a pixel -> masks of red, green, blue and, with 32 bits, opacity that Pillow reads."""


def with_known_masks(data: bytes, max_pixels: int) -> bytes:
    """Return the file with its channels in four bytes per pixel, if Pillow does not know their masks.

    Return the same object if there is nothing to do, or if the file is incomplete or has more than
    ``max_pixels``.
    """
    try:
        pixels_at, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
        if compression not in (_MASKS, _MASKS_WITH_ALPHA) or header < _SHORT_HEADER or bits not in _READ:
            return data
        masks = struct.unpack_from("<4I", data, _FIRST_BYTES + _SHORT_HEADER)
    except struct.error:
        return data
    if compression == _MASKS and header < _HEADER_WITH_ALPHA:
        masks = (*masks[:3], 0)
    rows, row_bytes = abs(height), (width * bits + 31) // 32 * 4
    is_known = masks[: 3 if bits == 16 else 4] in _READ[bits]
    if is_known or not 0 < width * rows <= max_pixels or len(data) < pixels_at + rows * row_bytes:
        return data
    size_bytes = bits // 8
    pixels = np.frombuffer(data, f"<u{size_bytes}", rows * row_bytes // size_bytes, pixels_at)
    pixels = pixels.reshape(rows, -1)[:, :width]
    red, green, blue, alpha = (mask & (2**bits - 1) for mask in masks)
    levels = [_levels(pixels, mask) for mask in (blue, green, red)]
    levels.append(_levels(pixels, alpha) if alpha else np.full(pixels.shape, 255, np.uint8))
    rewritten = np.stack(levels, axis=-1).tobytes()
    head = struct.pack(
        "<IiiHHIIiiII4I",
        *(_HEADER_WITH_ALPHA, width, height, 1, 32, _MASKS, len(rewritten), 0, 0, 0, 0),
        *(_RED, _GREEN, _BLUE, _ALPHA),
    )
    start = _FIRST_BYTES + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(rewritten), 0, 0, start) + head + rewritten


def _levels(pixels: Samples, mask: int) -> npt.NDArray[np.uint8]:
    """Return one channel as 0..255."""
    if not mask:
        return np.zeros(pixels.shape, np.uint8)
    lowest = (mask & -mask).bit_length() - 1
    shift = max(lowest, mask.bit_length() - 8)
    highest = mask >> shift
    table = (np.arange(highest + 1) * 255 // highest).astype(np.uint8)
    levels: npt.NDArray[np.uint8] = table[(pixels & pixels.dtype.type(mask)) >> pixels.dtype.type(shift)]
    return levels
