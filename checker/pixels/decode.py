"""Step 7, decode: bytes in, uint8 pixels at the network's input size out.

The same pixels as torchvision's resize and centre crop (within 2 of 255 where vector instructions make them);
of large JPEGs only what is needed is decoded.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from checker.errors import UnreadableImage
from checker.pixels import nvjpeg, simd_jpeg
from checker.pixels.crop import RESAMPLING, Frame, box_of, exact, framed, just_the_crop
from checker.ports import Pixels
from models.catalogue import Preprocessing

MAX_PIXELS = 89_478_485
"""Pillow's own warning limit, read from the header before anything is decoded: 358 MB of pixels."""

LIBRARIES = ("numpy", "pillow", *(("simplejpeg", "cykooz-resizer") if simd_jpeg.IS_THERE else ()))
"""What the pixels depend on; their versions are kept with every verdict."""

# Only names that are registered: Pillow answers an unknown one with a KeyError, whatever the file is.
# An MPO's first picture is opened as the JPEG it is.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB")
# Measured against full decodes of photos full of fine detail: at 2 some pixels differ by 14 of 255, at 2.75
# by 8. A photo of 12 megapixels (4000 x 3000) is still decoded at a quarter for 256 px.
_DRAFT_FACTOR = 2.75
_ORIENTATION = 0x0112  # EXIF
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPED, _FLIPPED_X, _FLIPPED_Y = {5, 6, 7, 8}, {2, 3, 7, 8}, {3, 4, 6, 7}

# What Pillow's decoders let through on hostile files. A MemoryError is not among them: that one
# says something about this machine, not about the photo.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # libavif and libheif say nearly everything so
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def keep_memory(workers: int) -> None:
    """Let Pillow keep the memory of the last pictures for the next ones, in this process.

    A tenth of the time of large photos: otherwise the kernel takes every page back and clears it anew.
    Memory: at most ``workers x 2`` blocks of 16 MB, if photos were ever that large.
    """
    Image.core.set_blocks_max(2 * workers)  # type: ignore[attr-defined]  # documented, and not in the stub


def decode(data: bytes, preprocessing: Preprocessing) -> Pixels:
    """Turn an encoded photo into one network input, upright as a person sees it.

    JPEGs are decoded at the smallest DCT scale that still gives ``_DRAFT_FACTOR`` times the resized size: in
    photos no pixel differs by more than 8/255 from a full decode. Transparency lies on white. Thread-safe.

    Returns:
        uint8 ``(input_px, input_px, 3)``, RGB, contiguous: the centre crop.
    Raises:
        UnreadableImage: not a picture, truncated, or above ``MAX_PIXELS``.
    """
    with opened(data) as image:
        return _decoded(data, image, preprocessing)


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The picture by its header, not loaded yet; what goes wrong with it inside the block is translated.

    Raises:
        UnreadableImage: as ``decode`` does.
    """
    formats = _ftyp_formats() if data[4:8] == b"ftyp" else _FORMATS
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImage(f"{width} x {height} pixels are more than {MAX_PIXELS}")
            yield image
    except UnidentifiedImageError as error:  # its own words tell a memory address
        raise UnreadableImage("This is no picture, or none of a kind that can be decoded.") from error
    except _UNREADABLE as error:
        why = str(error) or type(error).__name__
        raise UnreadableImage(f"The picture can't be decoded: {why.rstrip('.')}.") from error


@functools.cache
def _ftyp_formats() -> tuple[str, ...]:
    try:
        import pillow_heif
    except ImportError:  # it is optional: HEIC is unreadable then
        return ("AVIF",)
    pillow_heif.register_heif_opener()
    return ("AVIF", "HEIF")


def _decoded(data: bytes, image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        # Both sides are asked to stay above the target of the shorter one, so that one decides.
        enough = math.ceil(_DRAFT_FACTOR * preprocessing.resize_px)
        image.draft(None, (enough, enough))
        pixels = _quickly(data, image, (width, height), preprocessing)
        if pixels is not None:
            return pixels
    image.load()
    drafted_by = max(round(width / image.width), 1)
    if drafted_by == 1:
        width, height = image.size  # a TIFF turns itself upright while it loads
    orientation, side = orientation_of(image), preprocessing.input_px
    swapped = orientation in _SWAPPED
    frame = framed(*((height, width) if swapped else (width, height)), preprocessing)
    if swapped:
        frame = Frame(frame.height, frame.width, frame.top, frame.left)
    if orientation in _FLIPPED_X:
        frame = frame._replace(left=frame.width - side - frame.left)
    if orientation in _FLIPPED_Y:
        frame = frame._replace(top=frame.height - side - frame.top)
    resampling = RESAMPLING[preprocessing.interpolation]
    if drafted_by == 1:
        crop = exact(rgb(image), frame, side, resampling, rows_first=swapped)
    else:
        # In the drafted picture's own pixels; its last row or column may stand for less than a whole one.
        box = box_of(frame, width / drafted_by, height / drafted_by, side)
        crop = just_the_crop(rgb(image), box, side, resampling, rows_first=swapped)
    if orientation in UPRIGHT:
        crop = crop.transpose(UPRIGHT[orientation])
    return np.array(crop, dtype=np.uint8)


def _quickly(
    data: bytes, drafted: Image.Image, whole: tuple[int, int], preprocessing: Preprocessing
) -> Pixels | None:
    """An upright colour JPEG, by something faster than Pillow; None where that can't."""
    if drafted.format != "JPEG" or drafted.mode != "RGB" or orientation_of(drafted) != 1:
        return None
    if preprocessing.decoder == "nvjpeg":
        return nvjpeg.decode(data, preprocessing)
    return simd_jpeg.decode(data, drafted.size, whole, preprocessing) if simd_jpeg.IS_THERE else None


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation; what to do about it stands in ``UPRIGHT``."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (*_UNREADABLE, Warning):
        return 1  # broken metadata is no reason to refuse good pixels


def rgb(image: Image.Image) -> Image.Image:
    """8 bits of each colour, whatever the loaded picture's mode; transparency lies on white."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):
        image = _eight_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Gray of 16 or 32 bits; Pillow's own conversion would clip instead of scale."""
    values = np.asarray(image, dtype=np.float32)
    top = 1.0 if image.mode == "F" and values.max(initial=0) <= 1 else 65535.0
    if image.mode != "I;16" and not image.mode.startswith("I;16") and 1 < values.max(initial=0) <= 255:
        top = 255.0
    return Image.fromarray(np.clip(np.nan_to_num(values) * (255 / top), 0, 255).astype(np.uint8))
