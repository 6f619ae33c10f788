"""The resize and the squares of step 7, on decoded photos.

Pillow rounds and clips between its two passes, and from version 13 on the shape decides which comes first: at
hard edges that makes a difference of up to 20 of 255. So everything here does one pass at a time: across
first, or down first (``rows_first``) where a photo that lies on its side is cropped before it is turned.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from checker.pixels.orientation import MIRRORED_X, MIRRORED_Y, SWAPPED
from models.catalogue import Preprocessing

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Box = tuple[float, float, float, float]


class Frame(NamedTuple):
    """A photo resized for the model: its size, and the corners of the model's squares in it."""

    width: int
    height: int
    corners: tuple[tuple[int, int], ...]
    """Left and top of each square."""


Layout = Callable[[int, int, Preprocessing], Frame]
"""Places the squares in an upright photo of this width and height."""


class Part(NamedTuple):
    """A part of a resized photo that is decoded, in its pixels: the bounding box of the squares."""

    photo_width: int
    photo_height: int
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, frame: Frame, side: int) -> Part:
        lefts, tops = zip(*frame.corners, strict=True)
        size = (max(lefts) - min(lefts) + side, max(tops) - min(tops) + side)
        return cls(frame.width, frame.height, min(lefts), min(tops), *size)

    def stored(self, orientation: int) -> Part:
        """Return the part as it lies in a photo that is not turned upright yet."""
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


def centre_square(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place one square in the middle, as the model's authors do, with torchvision's rounding."""
    short, side = preprocessing.resize_px, preprocessing.input_px
    resized_width = short if width <= height else int(short * width / height)
    resized_height = short if height <= width else int(short * height / width)
    corner = (round((resized_width - side) / 2), round((resized_height - side) / 2))
    return Frame(resized_width, resized_height, (corner,))


def whole_square(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place one square that reaches the edges of the shorter side: all of a thumbnail."""
    return centre_square(width, height, dataclasses.replace(preprocessing, resize_px=preprocessing.input_px))


def end_squares(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place two squares at opposite corners: together they see a photo from end to end.

    The longer side is at least ``resize_px`` and at most two squares long: a photo of up to 2:1 keeps its
    proportions, a longer one is squeezed to 2:1.
    """
    side = preprocessing.input_px
    aspect = min(max(width, height) / min(width, height), 2.0)
    longer = max(round(aspect * side), preprocessing.resize_px)
    shorter = max(round(longer / aspect), side)
    size = (longer, shorter) if width >= height else (shorter, longer)
    return Frame(*size, ((0, 0), (size[0] - side, size[1] - side)))


def exact_part(
    image: Image.Image, part: Part, resampling: Image.Resampling, *, rows_first: bool
) -> Image.Image:
    """Resize and crop; bit for bit the same as resizing the whole photo and cropping it then.

    Pillow keeps a box in 32-bit floats, so that one pixel in 5 000 would be off by one: enough to move the
    logits of a deep model by 1e-3.
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
    """Resize only the part of a large photo to ``size``, at two thirds of the work."""
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
    """Return the first pixel that a resize of this span reads, and the one after the last."""
    reach = math.ceil(2 * max((high - low) / resized, 1)) + 1  # bicubic reaches two target pixels
    return max(0, math.floor(low) - reach), min(length, math.ceil(high) + reach)
