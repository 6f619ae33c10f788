"""Facts that a file states but its decoder does not report: coded colour, a crop, a frame."""

from __future__ import annotations

import struct

from PIL import GifImagePlugin, Image

from checker.pixels.colour.cicp import CodedColour
from checker.pixels.formats.heif_boxes import properties_of_photo
from checker.pixels.formats.png_chunks import SIGNATURE, chunks_before_pixels

_CROP_LAYOUT = ">IIIIiIiI"
"""Numerator and denominator of the width, the height, and the centre's offsets from the photo's centre."""


def add_omitted(image: Image.Image, data: bytes) -> None:
    """Add ``info["coded_colour"]``, ``info["crop"]`` and ``info["frame"]``, each if it changes the photo.

    The frame is the part of a GIF that its first frame covers; browsers show the rest as transparent.

    Information that does not count in the format is removed: the profile of a PNG with code points, which
    take precedence, and the XMP of an AVIF, whose orientation does not apply to the photo.
    """
    if data.startswith(SIGNATURE):
        colour = _in_png(data)
        if colour is not None:
            image.info.pop("icc_profile", None)
        _add_colour(image, colour)
    elif data[4:8] == b"ftyp":
        properties = properties_of_photo(data)
        _add_colour(image, _in_properties(properties))
        if image.format == "AVIF":  # the decoder of HEIC crops and turns itself
            image.info.pop("xmp", None)
            _add_crop(image, properties)
    elif isinstance(image, GifImagePlugin.GifImageFile) and image.dispose_extent != (0, 0, *image.size):
        image.info["frame"] = image.dispose_extent


def _add_colour(image: Image.Image, colour: CodedColour | None) -> None:
    if colour is not None and not colour.is_srgb:
        image.info["coded_colour"] = colour


def _in_png(data: bytes) -> CodedColour | None:
    for name, content in chunks_before_pixels(data):
        if name == b"cICP" and len(content) == 4:
            colour = CodedColour(content[0], content[1])
            return colour if colour.is_specified else None
    return None


def _in_properties(properties: list[tuple[bytes, bytes]]) -> CodedColour | None:
    for name, content in properties:
        if name == b"colr" and content.startswith(b"nclx") and len(content) >= 8:
            return CodedColour(*struct.unpack_from(">HH", content, 4))
    return None


def _add_crop(image: Image.Image, properties: list[tuple[bytes, bytes]]) -> None:
    for name, content in properties:
        if name != b"clap" or len(content) < struct.calcsize(_CROP_LAYOUT):
            continue
        numbers = struct.unpack_from(_CROP_LAYOUT, content)
        if not all(numbers[1::2]):
            return
        width, height, right, down = (a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True))
        left, top = (image.width - width) / 2 + right, (image.height - height) / 2 + down
        box = tuple(round(edge) for edge in (left, top, left + width, top + height))
        if 0 <= box[0] < box[2] <= image.width and 0 <= box[1] < box[3] <= image.height:
            image.info["crop"] = box
        return
