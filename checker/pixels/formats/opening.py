"""Open encoded files (JPEG, HEIC, AVIF, ...) as Pillow images; all decoder errors become one error."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
import zlib
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from checker.errors import UnreadableImage
from checker.pixels.formats.bombs import screened
from checker.pixels.formats.complete import CompleteJpeg, CompletePng
from checker.pixels.formats.heif_boxes import heif_format
from checker.pixels.formats.omitted import add_omitted
from checker.pixels.formats.png_chunks import SIGNATURE
from checker.pixels.formats.repair import repaired

MAX_PIXELS = 89_478_485
"""Pillow's warning limit: 358 MB of pixels. The size is read from the header before anything is decoded."""

_PIXELS = re.compile(r"\d+(?= pixels)")
_TOO_MANY_PIXELS = "This photo has more pixels than the limit allows."

# Only registered names: Pillow raises KeyError for an unknown name, even if the file has another format.
_FORMATS = ("WEBP", "GIF", "TIFF", "BMP")

DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,  # such as a PNG in palette colours without a palette
    RuntimeError,  # libavif and libheif report nearly every error this way
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""Errors of Pillow's decoders on hostile files. MemoryError is not among them: the machine causes it, not the
photo."""


@contextlib.contextmanager
def open_image(data: bytes, *, is_stored: bool = True) -> Iterator[Image.Image]:
    """Read the header of a photo without loading its pixels; errors inside the block are translated too.

    Args:
        is_stored: True if CatLoader encoded the file. False: also refuse files that would keep a decoder
            busy, which takes a walk over their parts.
    Raises:
        UnreadableImage: the file is not a photo, is truncated, or has more than ``MAX_PIXELS``.
    """
    formats = _heif_formats(data) or _FORMATS
    try:
        whole = repaired(data, MAX_PIXELS) if is_stored else screened(data, MAX_PIXELS)
        if whole.startswith(SIGNATURE):
            with CompletePng(io.BytesIO(whole)) as image:
                image.verify()  # verifies the checksums of all chunks; loading stops after the pixels
        with _opened(whole, formats, is_stored=is_stored) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImage(too_many_pixels(image.width * image.height, MAX_PIXELS))
            add_omitted(image, whole)
            yield image
    except UnidentifiedImageError as error:  # its text contains a memory address
        raise UnreadableImage("This is not a photo, or not in a format that can be decoded.") from error
    except Image.DecompressionBombError as error:  # above Pillow's own limit, before the size is known here
        pixels = _PIXELS.search(str(error))
        sentence = too_many_pixels(int(pixels[0]), MAX_PIXELS) if pixels else _TOO_MANY_PIXELS
        raise UnreadableImage(sentence) from error
    except DECODER_ERRORS as error:
        # libheif's texts contain line breaks, and assertions of decoders have no text.
        reason = " ".join(str(error).split()) or "its parts contradict each other"
        if is_refusal_of_texts(error):  # Pillow's text is advice to programmers
            reason = "its texts or its colour profile are too large"
        raise UnreadableImage(f"The photo can't be decoded: {reason.rstrip('.')}.") from error


def is_refusal_of_texts(error: Exception) -> bool:
    """Return True if Pillow refuses a PNG for the size of its inflated texts or colour profile."""
    return "MAX_TEXT_" in str(error)


def _opened(data: bytes, formats: tuple[str, ...], *, is_stored: bool) -> Image.Image:
    if data.startswith(SIGNATURE):
        return CompletePng(io.BytesIO(data))
    if data.startswith(b"\xff\xd8\xff"):  # an MPO is opened as a JPEG, which its first image is
        return (JpegImagePlugin.JpegImageFile if is_stored else CompleteJpeg)(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=formats)


def too_many_pixels(pixels: int, limit: int) -> str:
    """Return the sentence for a photo above the limit."""
    photo, most = megapixels(pixels, limit)
    return f"This photo has {photo} megapixels; the limit is {most}."


def megapixels(pixels: int, limit: int) -> tuple[str, str]:
    """Format the number of pixels of a photo above the limit, and the limit, in millions, with three digits.

    The photo's figure is rounded up and the limit down, so that the two never look equal.
    """
    photo, most = (
        Context(prec=3, rounding=rounding).divide(Decimal(number), Decimal(10**6)).normalize()
        for number, rounding in ((pixels, ROUND_CEILING), (limit, ROUND_FLOOR))
    )
    return f"{photo:f}", f"{most:f}"


def _heif_formats(data: bytes) -> tuple[str, ...]:
    match heif_format(data):
        case "AVIF":
            return ("AVIF",)
        case "HEIC" if _has_heic():
            return ("HEIF",)
    return ()


@functools.cache
def _has_heic() -> bool:
    try:
        import pillow_heif
    except ImportError:  # the package is optional: without it HEIC is unreadable
        return False
    pillow_heif.register_heif_opener()
    return True
