"""Drawings computed from photos, in several techniques."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from scripts.accuracy.variations.variations import Variation

_DARK = 110
"""Grey values below this one become black in a drawing of two tones."""


def drawings() -> list[Variation]:
    """Return one variation for each technique."""
    return [
        _one("lines", lambda photo: _filtered(photo, ImageFilter.FIND_EDGES())),
        _one("contours", lambda photo: _filtered(photo, ImageFilter.CONTOUR())),
        _one("contours in colour", lambda photo: photo.filter(ImageFilter.CONTOUR())),
        _one("relief", lambda photo: _filtered(photo, ImageFilter.EMBOSS())),
        _one("dots", lambda photo: photo.convert("1").convert("RGB")),
        _one("pencil", _pencil),
        _one("two tones", lambda photo: _grey(photo).point(_TWO_TONES).convert("RGB")),
    ]


_TWO_TONES = [255 * (level >= _DARK) for level in range(256)]


def _one(technique: str, draw: Callable[[Image.Image], Image.Image]) -> Variation:
    return Variation("drawing", technique, lambda photo, _seed, _ground: draw(photo))


def _grey(photo: Image.Image) -> Image.Image:
    return ImageOps.grayscale(photo)


def _filtered(photo: Image.Image, line_filter: ImageFilter.Filter) -> Image.Image:
    return _grey(photo).filter(line_filter).convert("RGB")


def _pencil(photo: Image.Image) -> Image.Image:
    """Divide the photo by a blurred copy, which leaves edges in soft grey on white."""
    grey = _grey(photo)
    blurred = grey.filter(ImageFilter.GaussianBlur(max(photo.size) / 60))
    shares = np.asarray(grey, dtype=np.float32) / np.maximum(np.asarray(blurred, dtype=np.float32), 1)
    return Image.fromarray(np.clip(255 * shares, 0, 255).astype(np.uint8)).convert("RGB")
