"""The resize and centre crop of step 7, on photos that are decoded already.

Pillow rounds and clips between its two passes, and from version 13 on the shape decides which comes first: at
hard edges that makes up to 20 of 255. So everything here does one pass at a time: across first, or down first
(``rows_first``) where a photo that lies on its side is cropped before it is turned.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from PIL import Image

from checker.values import Rendition
from models.catalogue import Preprocessing

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Box = tuple[float, float, float, float]


class Frame(NamedTuple):
    """Size of the whole photo after the resize, and the corner of the model's square in it."""

    width: int
    height: int
    left: int
    top: int


def preprocessing_of(rendition: Rendition, preprocessing: Preprocessing) -> Preprocessing:
    """Choose the part of each rendition that the model sees.

    The photo's centre crop is what the model was trained on. The thumbnail is that same centre square:
    cropped alike it would add nothing; seen to its edges, it adds what the crop cuts off. Profiles rest on
    this rule: a change of it raises ``profile.FORMAT``.
    """
    if rendition is Rendition.PHOTO:
        return preprocessing
    return dataclasses.replace(preprocessing, resize_px=preprocessing.input_px)


def frame_of(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place the model's square in a photo of this size, with torchvision's rounding."""
    short, side = preprocessing.resize_px, preprocessing.input_px
    resized_width = short if width <= height else int(short * width / height)
    resized_height = short if height <= width else int(short * height / width)
    return Frame(
        resized_width, resized_height, round((resized_width - side) / 2), round((resized_height - side) / 2)
    )


def source_box(frame: Frame, width: float, height: float, side: int) -> Box:
    """Return the square of a frame in the pixels of a photo of ``width x height``."""
    across, down = width / frame.width, height / frame.height
    right, bottom = frame.left + side, frame.top + side
    return frame.left * across, frame.top * down, min(right * across, width), min(bottom * down, height)


def crop_box(width: int, height: int, preprocessing: Preprocessing) -> Box:
    """Return the part of the upright photo that the model sees, in the photo's pixels."""
    return source_box(frame_of(width, height, preprocessing), width, height, preprocessing.input_px)


def exact_crop(
    image: Image.Image, frame: Frame, side: int, resampling: Image.Resampling, *, rows_first: bool
) -> Image.Image:
    """Resize and crop, bit for bit as a resize of the whole photo and a centre crop give.

    Pillow keeps a box in 32-bit floats, so that one pixel in 5 000 would be off by one: enough to move the
    logits of a deep model by 1e-3.
    """
    width, height, left, top = frame
    if rows_first:
        strip = image.resize((image.width, height), resampling).crop((0, top, image.width, top + side))
        return strip.resize((width, side), resampling).crop((left, 0, left + side, side))
    strip = image.resize((width, image.height), resampling).crop((left, 0, left + side, image.height))
    return strip.resize((side, height), resampling).crop((0, top, side, top + side))


def just_the_crop(
    image: Image.Image, box: Box, side: int, resampling: Image.Resampling, *, rows_first: bool
) -> Image.Image:
    """Resize only the crop of a large photo, at two thirds of the work."""
    left, top, right, bottom = box
    if rows_first:
        first, last = needed_span(left, right, side, image.width)
        strip = image.crop((first, 0, last, image.height))
        strip = strip.resize((last - first, side), resampling, box=(0, top, last - first, bottom))
        return strip.resize((side, side), resampling, box=(left - first, 0, right - first, side))
    first, last = needed_span(top, bottom, side, image.height)
    strip = image.crop((0, first, image.width, last))
    strip = strip.resize((side, last - first), resampling, box=(left, 0, right, last - first))
    return strip.resize((side, side), resampling, box=(0, top - first, side, bottom - first))


def needed_span(low: float, high: float, side: int, length: int) -> tuple[int, int]:
    """Return the first pixel that a resize of this span reads, and the one after the last."""
    reach = math.ceil(2 * max((high - low) / side, 1)) + 1  # bicubic reaches two target pixels far
    return max(0, math.floor(low) - reach), min(length, math.ceil(high) + reach)
