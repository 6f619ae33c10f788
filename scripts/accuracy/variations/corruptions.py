"""Corruptions in five strengths: blur, small size, JPEG, darkness and noise.

The strengths of blur, JPEG and noise are those of ImageNet-C (Hendrycks and Dietterich 2019), which are
defined for photos of 224 px. Here they are relative to the shorter side, so that photos of all sizes are
corrupted equally. They are made with Pillow and numpy, because the libraries for this purpose require OpenCV.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from scripts.accuracy.variations.variations import Variation

_BASE_PX = 224
_BLUR_PX = (1, 2, 3, 4, 6)
_SHORTER_SIDE_PX = (128, 96, 64, 48, 32)
_JPEG_QUALITY = (25, 18, 15, 10, 7)
_LIGHT = (0.5, 0.35, 0.25, 0.15, 0.08)
_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)
_BOX, _BICUBIC, _NEAREST = Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.NEAREST


def corruptions() -> list[Variation]:
    """Return all corruptions, each family from its weakest to its strongest."""
    return [
        *(_one("blur", f"radius {px}/224 of the shorter side", _blurred(px)) for px in _BLUR_PX),
        *(_one("small, enlarged", f"{px} px", _small(px)) for px in _SHORTER_SIDE_PX),
        *(_one("JPEG", f"quality {quality}", _compressed(quality)) for quality in _JPEG_QUALITY),
        *(_one("darkness", f"{light:.0%} of the light", _darkened(light)) for light in _LIGHT),
        *(_one("noise", f"deviation {deviation:.0%} of white", _noisy(deviation)) for deviation in _NOISE),
    ]


def _one(family: str, strength: str, corrupt: Callable[[Image.Image, int], Image.Image]) -> Variation:
    return Variation(family, strength, lambda photo, seed, _ground: corrupt(photo, seed))


def _resized(photo: Image.Image, shorter_px: int, resampling: Image.Resampling) -> Image.Image:
    scale = shorter_px / min(photo.size)
    size = (max(round(photo.width * scale), 1), max(round(photo.height * scale), 1))
    return photo.resize(size, resampling)


def _blurred(radius_px: int) -> Callable[[Image.Image, int], Image.Image]:
    return lambda photo, _seed: photo.filter(ImageFilter.GaussianBlur(radius_px / _BASE_PX * min(photo.size)))


def _small(shorter_px: int) -> Callable[[Image.Image, int], Image.Image]:
    def corrupt(photo: Image.Image, _seed: int) -> Image.Image:
        if min(photo.size) <= shorter_px:
            return photo
        return _resized(photo, shorter_px, _BOX).resize(photo.size, _BICUBIC)

    return corrupt


def _compressed(quality: int) -> Callable[[Image.Image, int], Image.Image]:
    """Reduce a larger photo first, because JPEG's blocks have 8 px in photos of every size."""

    def corrupt(photo: Image.Image, _seed: int) -> Image.Image:
        small = _resized(photo, _BASE_PX, _BOX) if min(photo.size) > _BASE_PX else photo
        out = io.BytesIO()
        small.save(out, "JPEG", quality=quality)
        with Image.open(out) as image:
            return image.convert("RGB")

    return corrupt


def _darkened(light: float) -> Callable[[Image.Image, int], Image.Image]:
    return lambda photo, _seed: photo.point([round(level * light) for level in range(256)] * 3)


def _noisy(deviation: float) -> Callable[[Image.Image, int], Image.Image]:
    """Add Gaussian noise, the same to all channels, with a grain of 1/224 of the shorter side."""

    def corrupt(photo: Image.Image, seed: int) -> Image.Image:
        scale = min(_BASE_PX / min(photo.size), 1)
        shape = (max(round(photo.height * scale), 1), max(round(photo.width * scale), 1))
        grains = np.random.default_rng(seed).normal(0, 255 * deviation, shape).astype(np.float32)
        noise = np.asarray(Image.fromarray(grains).resize(photo.size, _NEAREST))
        pixels = np.asarray(photo, dtype=np.float32) + noise[:, :, np.newaxis]
        return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))

    return corrupt
