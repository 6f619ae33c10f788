"""Draw the photo in hostile files: four coloured quarters, so that a wrong rotation or colour is visible."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

Quarters = tuple[tuple[int, int, int], ...]
"""sRGB of the top left, top right, bottom left and bottom right quarter."""

SIZE_PX = (96, 64)
COLOURS: Quarters = ((200, 60, 60), (60, 180, 80), (60, 80, 200), (220, 200, 80))
GREYS: Quarters = tuple((level,) * 3 for level in (40, 210, 150, 90))
BLACK_WHITE: Quarters = ((0, 0, 0), (255, 255, 255), (255, 255, 255), (0, 0, 0))
MARK = b"PLANTED-MARK"
"""A text that is planted in metadata. No stored or served photo may contain it."""


def levels(colours: Quarters, size_px: tuple[int, int] = SIZE_PX) -> np.ndarray:
    """Return uint8 ``(height, width, 3)``."""
    width, height = size_px
    pixels = np.empty((height, width, 3), np.uint8)
    for number, colour in enumerate(colours):
        rows = slice(height // 2) if number < 2 else slice(height // 2, None)
        columns = slice(width // 2, None) if number % 2 else slice(width // 2)
        pixels[rows, columns] = colour
    return pixels


def photo(size_px: tuple[int, int] = SIZE_PX, mode: str = "RGB") -> Image.Image:
    """Return the coloured quarters with a little noise, so that encoders have data to compress."""
    noise = np.random.default_rng(7).integers(-9, 10, (size_px[1], size_px[0], 1))
    pixels = np.clip(levels(COLOURS, size_px) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def grey() -> Image.Image:
    return Image.fromarray(levels(GREYS, SIZE_PX)[..., 0])


def bilevel(size_px: tuple[int, int] = SIZE_PX) -> Image.Image:
    return Image.fromarray(levels(BLACK_WHITE, size_px)[..., 0]).convert("1")


def translucent() -> tuple[Image.Image, Quarters]:
    """Return an RGBA photo and the colours that it has on a white background."""
    image = photo(mode="RGBA")
    alpha = levels(((255,) * 3, (128,) * 3, (0,) * 3, (255,) * 3))[..., 0]
    image.putalpha(Image.fromarray(alpha))
    half = tuple((level + 255) // 2 for level in COLOURS[1])
    return image, (COLOURS[0], half, (255, 255, 255), COLOURS[3])  # type: ignore[return-value]


def encoded(image: Image.Image, source_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if source_format == "HEIC":
        # With the default preset these few photos take a third of the time of all files.
        pillow_heif.from_pillow(image).save(buffer, enc_params={"preset": "ultrafast"}, **options)
    else:
        image.save(buffer, source_format, **options)
    return buffer.getvalue()


def jpeg(**options: Any) -> bytes:
    return encoded(photo(), "JPEG", **{"quality": 90, **options})


def png(**options: Any) -> bytes:
    return encoded(photo(), "PNG", **options)


def upright(colours: Quarters, orientation: int) -> Quarters:
    """Return the quarters as they appear after an EXIF orientation is applied."""
    order = {
        1: (0, 1, 2, 3),
        2: (1, 0, 3, 2),
        3: (3, 2, 1, 0),
        4: (2, 3, 0, 1),
        5: (0, 2, 1, 3),
        6: (2, 0, 3, 1),
        7: (3, 1, 2, 0),
        8: (1, 3, 0, 2),
    }[orientation]
    return tuple(colours[quarter] for quarter in order)
