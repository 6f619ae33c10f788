"""The pixels that an explanation needs of a photo: all of it to draw on, and the squares the model saw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from checker.pixels.colour.srgb import to_rgb
from checker.pixels.decode import decode_squares
from checker.pixels.formats.opening import open_image
from checker.pixels.frame import end_squares
from checker.pixels.orientation import orientation_of, upright
from checker.values import Pixels
from models.catalogue import Preprocessing

MAX_EDGE_PX = 1280
"""Longer edge of the explanation. A PNG of this size takes 1 to 2 MB."""


class ExplainedPhoto(NamedTuple):
    """The pixels of a photo to explain. Both arrays are RGB, uint8."""

    photo: Pixels
    """``(h, w, 3)``, upright, the longer edge at most ``MAX_EDGE_PX``."""
    squares: Pixels
    """``(K, input_px, input_px, 3)``, as ``decode_squares`` returns them."""


def explained_photo(data: bytes, preprocessing: Preprocessing) -> ExplainedPhoto:
    """Decode a photo.

    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    photo = _upright(data)
    frame = end_squares(*photo.size, preprocessing)
    return ExplainedPhoto(np.asarray(photo), decode_squares(data, preprocessing, lambda *_: frame))


def _upright(data: bytes) -> Image.Image:
    with open_image(data) as image:
        image.draft(None, (MAX_EDGE_PX, MAX_EDGE_PX))
        image.load()
        photo = to_rgb(image)
        photo.thumbnail((MAX_EDGE_PX, MAX_EDGE_PX), Image.Resampling.LANCZOS)
        return upright(photo, orientation_of(image))
