"""Positions: the middle of a photo is placed in a larger frame, so that the cat may be at the frame's edge.

The rest of the frame shows another photo, without a cat.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, ImageOps

from scripts.accuracy.variations.variations import Change, Ground, Variation


class Place(NamedTuple):
    """A frame and a square in it, in pixels."""

    width: int
    height: int
    left: int
    top: int
    side: int


_PLACES = {
    ("16:9", "left"): Place(1280, 720, 0, 324, 396),
    ("16:9", "right"): Place(1280, 720, 884, 0, 396),
    ("9:16", "top"): Place(720, 1280, 0, 0, 396),
    ("9:16", "bottom"): Place(720, 1280, 324, 884, 396),
    ("3:1", "left"): Place(1536, 512, 0, 0, 512),
    ("3:1", "right"): Place(1536, 512, 1024, 0, 512),
    ("5:1", "left"): Place(2000, 400, 100, 0, 400),
    ("8:1", "right"): Place(3200, 400, 2300, 0, 400),
    ("collage", "a quarter"): Place(1024, 1024, 512, 512, 512),
    ("small, in the middle", "25 % of the area"): Place(1024, 1024, 256, 256, 512),
    ("small, in the middle", "11 %"): Place(1024, 1024, 341, 341, 341),
    ("small, in the middle", "4 %"): Place(1024, 1024, 410, 410, 205),
}


def positions() -> list[Variation]:
    """Return one variation for each place."""
    return [Variation(frame, where, _put(place)) for (frame, where), place in _PLACES.items()]


def _put(place: Place) -> Change:
    def change(photo: Image.Image, _seed: int, ground: Ground) -> Image.Image:
        frame = ImageOps.fit(ground(), (place.width, place.height))
        frame.paste(ImageOps.fit(photo, (place.side, place.side)), (place.left, place.top))
        return frame

    return change
