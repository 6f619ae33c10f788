"""The resize of step 7, on decoded photos.

Pillow rounds and clips between its two passes, and from version 13 on the shape decides which pass comes
first: at hard edges the order changes values by up to 20 of 255. So every function here does one pass at a
time: across first, or down first (``rows_first``) if a photo that lies on its side is cropped before it is
turned.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from PIL import Image

from checker.pixels.frame import Frame
from checker.pixels.orientation import MIRRORED_X, MIRRORED_Y, SWAPPED

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Box = tuple[float, float, float, float]


class Part(NamedTuple):
    """The part of a resized photo that is decoded, in pixels of that photo: the bounding box of the tiles."""

    photo_width: int
    photo_height: int
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, frame: Frame) -> Part:
        lefts, tops = zip(*frame.corners, strict=True)
        width, height = frame.tile
        size = (max(lefts) - min(lefts) + width, max(tops) - min(tops) + height)
        return cls(frame.width, frame.height, min(lefts), min(tops), *size)

    def stored(self, orientation: int) -> Part:
        """Return the same part in a photo that is not turned upright yet."""
        part = self
        if orientation in SWAPPED:
            part = Part(part.photo_height, part.photo_width, part.top, part.left, part.height, part.width)
        if orientation in MIRRORED_X:
            part = part._replace(left=part.photo_width - part.width - part.left)
        if orientation in MIRRORED_Y:
            part = part._replace(top=part.photo_height - part.height - part.top)
        return part

    def source(self, width: float, height: float) -> Box:
        """Return the part in the pixels of the photo before the resize, which is ``width x height``."""
        across, down = width / self.photo_width, height / self.photo_height
        right, bottom = self.left + self.width, self.top + self.height
        return self.left * across, self.top * down, min(right * across, width), min(bottom * down, height)


def exact_part(
    image: Image.Image, part: Part, resampling: Image.Resampling, *, rows_first: bool
) -> Image.Image:
    """Resize and crop; bit for bit the same as resizing the whole photo first and cropping it afterwards.

    Pillow's ``box`` argument is not used: Pillow keeps it in 32-bit floats, so that one pixel in 5 000 would
    be off by one, enough to move the logits of a deep model by 1e-3.
    """
    right, bottom = part.left + part.width, part.top + part.height
    if rows_first:
        strip = image.resize((image.width, part.photo_height), resampling)
        strip = strip.crop((0, part.top, image.width, bottom))
        strip = strip.resize((part.photo_width, part.height), resampling)
        return strip.crop((part.left, 0, right, part.height))
    strip = image.resize((part.photo_width, image.height), resampling)
    strip = strip.crop((part.left, 0, right, image.height))
    strip = strip.resize((part.width, part.photo_height), resampling)
    return strip.crop((0, part.top, part.width, bottom))


def just_the_part(
    image: Image.Image, box: Box, size: tuple[int, int], resampling: Image.Resampling, *, rows_first: bool
) -> Image.Image:
    """Resize only the part of a large photo to ``size``, which takes two thirds of the work."""
    left, top, right, bottom = box
    width, height = size
    if rows_first:
        first, last = needed_span(left, right, width, image.width)
        strip = image.crop((first, 0, last, image.height))
        strip = strip.resize((last - first, height), resampling, box=(0, top, last - first, bottom))
        return strip.resize(size, resampling, box=(left - first, 0, right - first, height))
    first, last = needed_span(top, bottom, height, image.height)
    strip = image.crop((0, first, image.width, last))
    strip = strip.resize((width, last - first), resampling, box=(left, 0, right, last - first))
    return strip.resize(size, resampling, box=(0, top - first, width, bottom - first))


def needed_span(low: float, high: float, resized: int, length: int) -> tuple[int, int]:
    """Return the first pixel that a resize of this span reads, and the pixel after the last."""
    reach = math.ceil(2 * max((high - low) / resized, 1)) + 1  # bicubic reaches two target pixels
    return max(0, math.floor(low) - reach), min(length, math.ceil(high) + reach)
