"""The EXIF orientation, and the transpositions that make a photo upright."""

from __future__ import annotations

from PIL import Image

from checker.pixels.formats.opening import DECODER_ERRORS

_ORIENTATION_TAG = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPPED = frozenset({5, 6, 7, 8})
"""Orientations whose rows are the upright photo's columns."""
MIRRORED_X, MIRRORED_Y = frozenset({2, 3, 7, 8}), frozenset({3, 4, 6, 7})
"""Orientations in which the stored photo's left and right (top and bottom) edges are exchanged."""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is missing or broken."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except (*DECODER_ERRORS, Warning):
        return 1  # broken metadata must not make good pixels unreadable
    return orientation if orientation in _TRANSPOSITIONS else 1


def upright(photo: Image.Image, orientation: int) -> Image.Image:
    """Return the photo upright; the same object if it is upright already."""
    return photo if orientation == 1 else photo.transpose(_TRANSPOSITIONS[orientation])
