"""Place the model's square inputs in a photo, and cut them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from checker.values import Floats, Pixels
from models.catalogue import Preprocessing

LONGEST_ASPECT = 4
"""Longer photos are folded. When they were squeezed to 2:1, a cat at one end of an 8:1 scene was never found,
and was ruled out in 27 of 100 cases. See docs/decisions/0002-the-score.md."""


class Frame(NamedTuple):
    """The size of a photo resized for the model, and the tiles in it that make up the model's squares."""

    width: int
    height: int
    tile: tuple[int, int]
    """Width and height: of a square, or of half a square, two of which are joined."""
    corners: tuple[tuple[int, int], ...]
    """Left and top of each tile; two halves of a square follow each other."""

    def cut(self, pixels: Pixels, left: int, top: int) -> Pixels:
        """Cut the squares out of a part of the resized photo.

        Args:
            pixels: uint8 ``(h, w, 3)``, a part that contains all tiles.
            left, top: place of the part's first pixel in the resized photo.
        Returns:
            uint8 ``(squares, side, side, 3)``.
        """
        tiles = [pixels[place] for place in self._places(left, top)]
        halves = self._halves
        squares = [tiles[first : first + halves] for first in range(0, len(tiles), halves)]
        return np.stack([np.concatenate(parts, axis=self._axis) for parts in squares])

    def put_back(self, squares: Floats) -> Floats:
        """Lay maps of the squares, ``(squares, side, side)``, over the photo; the higher of two counts.

        Returns:
            ``(height, width)``; 0 outside all squares.
        """
        whole = np.zeros((self.height, self.width), dtype=np.float32)
        tiles = [tile for square in squares for tile in np.split(square, self._halves, axis=self._axis)]
        for place, tile in zip(self._places(0, 0), tiles, strict=True):
            np.maximum(whole[place], tile, out=whole[place])
        return whole

    @property
    def _halves(self) -> int:
        return max(self.tile) // min(self.tile)

    @property
    def _axis(self) -> int:
        """The axis along which halves are joined: down, or across if they are higher than wide."""
        width, height = self.tile
        return 0 if width >= height else 1

    def _places(self, left: int, top: int) -> list[tuple[slice, slice]]:
        width, height = self.tile
        return [
            (slice(y - top, y - top + height), slice(x - left, x - left + width)) for x, y in self.corners
        ]


Layout = Callable[[int, int, Preprocessing], Frame]
"""Places the squares in an upright photo of this width and height."""


def centre_square(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place one square in the middle, as the model's authors do, with torchvision's rounding."""
    short, side = preprocessing.resize_px, preprocessing.input_px
    resized_width = short if width <= height else int(short * width / height)
    resized_height = short if height <= width else int(short * height / width)
    corner = (round((resized_width - side) / 2), round((resized_height - side) / 2))
    return Frame(resized_width, resized_height, (side, side), (corner,))


def whole_square(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place one square as long as the photo's shorter side: it contains all of a thumbnail."""
    return centre_square(width, height, dataclasses.replace(preprocessing, resize_px=preprocessing.input_px))


def end_squares(width: int, height: int, preprocessing: Preprocessing) -> Frame:
    """Place two squares that together cover a photo from end to end.

    In a photo of up to 4:1 the squares lie at opposite corners. Its longer side becomes at least
    ``resize_px`` and at most two squares long: a photo of up to 2:1 keeps its proportions, a longer photo is
    squeezed to 2:1.

    The shorter side of a photo beyond 4:1 becomes half a square. Each square then consists of two parts of
    the photo, one below the other, or side by side if the photo is high. The four parts overlap in a photo of
    up to 8:1; a longer photo is squeezed to 8:1.
    """
    side = preprocessing.input_px
    aspect = max(width, height) / min(width, height)
    if aspect > LONGEST_ASPECT:
        shorter = side // 2
        longer = min(round(aspect * shorter), 4 * side)
        starts = [round(number * (longer - side) / 3) for number in range(4)]
        across = Frame(longer, shorter, (side, shorter), tuple((start, 0) for start in starts))
        return across if width >= height else _transposed(across)
    aspect = min(aspect, 2.0)
    longer = max(round(aspect * side), preprocessing.resize_px)
    shorter = max(round(longer / aspect), side)
    size = (longer, shorter) if width >= height else (shorter, longer)
    return Frame(*size, (side, side), ((0, 0), (size[0] - side, size[1] - side)))


def _transposed(frame: Frame) -> Frame:
    corners = tuple((top, left) for left, top in frame.corners)
    return Frame(frame.height, frame.width, (frame.tile[1], frame.tile[0]), corners)
