"""Decoders that refuse a photo whose pixels end early: Pillow would show missing pixels black or grey."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from checker.pixels.formats.png_chunks import pixel_data, without_pixel_checksum

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

_GREY = {"L": (128,), "RGB": (128, 128, 128), "CMYK": (127, 127, 127, 127)}
"""Mode -> the pixel that libjpeg writes where data is missing."""
_ENDS_EARLY = re.compile("premature end of|found marker 0xd9 instead of")
"""libjpeg's warnings about an end marker within the pixels."""
_ARITHMETIC_FRAME = re.compile(rb"\xff[\xc9\xca]\0[\x0b\x0e\x11\x14]\x08")
"""Head of an arithmetically coded frame, in which libjpeg reads missing data as zeros without a warning."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG -> samples per pixel."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced PNG: first column, first row, and the distances to the next column and row."""
_STEP_BYTES = 2**20


class CompleteJpeg(JpegImagePlugin.JpegImageFile):
    """Refuses missing blocks before an end marker; a progressive JPEG without its last details passes."""

    def __init__(self, file: io.BytesIO) -> None:
        self._data = file.getvalue()
        super().__init__(file)

    def load(self) -> Any:
        is_first = bool(self.tile)
        pixels = super().load()
        if is_first and pixels is not None and _ends_in_grey(self) and _ends_early(self._data):
            raise OSError("image file is truncated")
        return pixels


class CompletePng(PngImagePlugin.PngImageFile):
    """Refuses compressed pixels that end validly but before the last row; ignores their checksum."""

    def __init__(self, file: io.BytesIO) -> None:
        self._data = file.getvalue()
        super().__init__(file)

    def load(self) -> Any:
        is_first, is_interlaced = bool(self.tile), bool(self.info.get("interlace"))
        pixels = self._loaded() if is_first else super().load()
        # Missing rows are zero, so only such photos are counted, and all interlaced ones, which are rare.
        if is_first and (is_interlaced or _ends_in_zeros(self)) and not _has_all_rows(self._data):
            raise OSError("image file is truncated")
        return pixels

    def _loaded(self) -> Any:
        try:
            return super().load()
        except OSError:  # perhaps a wrong checksum; any other error is raised again by the second attempt
            info = self.info
            super().__init__(io.BytesIO(without_pixel_checksum(self._data)))
            self.info = info
            return super().load()


def _ends_in_grey(image: Image.Image) -> bool:
    last = image.getpixel((image.width - 1, image.height - 1))
    return _GREY.get(image.mode) == (last if isinstance(last, tuple) else (last,))


def _ends_early(jpeg: bytes) -> bool:
    if simplejpeg is None or _ARITHMETIC_FRAME.search(jpeg):
        return False
    try:
        # At an eighth of the size. With strict, libjpeg's warning about an early end is an error.
        simplejpeg.decode_jpeg(jpeg, "GRAY", min_width=1, min_height=1, strict=True)
    except ValueError as error:
        return _ENDS_EARLY.search(str(error)) is not None
    return False


def _ends_in_zeros(image: Image.Image) -> bool:
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    return not np.asarray(last_row).any()


def _has_all_rows(png: bytes) -> bool:
    width, height, bits, colour_type, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    missing_bytes: int = sum(
        rows * (1 + (columns * bits * _CHANNELS[colour_type] + 7) // 8)
        for columns, rows in _sizes(width, height, bool(is_interlaced))
        if columns
    )
    inflater = zlib.decompressobj()
    for compressed in pixel_data(png):
        rest = compressed
        while rest and missing_bytes > 0:
            missing_bytes -= len(inflater.decompress(rest, _STEP_BYTES))
            rest = inflater.unconsumed_tail
    return missing_bytes <= 0


def _sizes(width: int, height: int, is_interlaced: bool) -> Iterator[tuple[int, int]]:
    """Yield the columns and rows of each pass."""
    for left, top, across, down in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        yield -(-max(0, width - left) // across), -(-max(0, height - top) // down)
