"""Step 7, decode: bytes in, uint8 pixels at the model's input size out.

The same pixels as torchvision's resize and centre crop (within 2 of 255 where vector instructions make them);
of large JPEGs only what is needed is decoded.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from checker.pixels import nvjpeg, simd_jpeg
from checker.pixels.colour import to_rgb
from checker.pixels.crop import RESAMPLING, Frame, exact_crop, frame_of, just_the_crop, source_box
from checker.pixels.opening import opened
from checker.pixels.orientation import MIRRORED_X, MIRRORED_Y, SWAPPED, orientation_of, turned
from checker.values import Pixels
from models.catalogue import Preprocessing

LIBRARIES = ("numpy", "pillow", *(("simplejpeg", "cykooz-resizer") if simd_jpeg.IS_INSTALLED else ()))
"""Packages that the pixels depend on; their versions are kept with every verdict."""

# Measured against full decodes of photos full of fine detail: at 2 some pixels differ by 14 of 255, at 2.75
# by 8. A photo of 12 megapixels (4000 x 3000) is still decoded at a quarter for 256 px.
_DRAFT_FACTOR = 2.75


def keep_memory(workers: int) -> None:
    """Let Pillow keep the memory of the last photos for the next ones, in this process.

    A tenth of the time of large photos: otherwise the kernel takes every page back and clears it anew.
    Memory: at most ``workers x 2`` blocks of 16 MB, if photos are ever that large.
    """
    Image.core.set_blocks_max(2 * workers)  # type: ignore[attr-defined]  # documented, and not in the stub


def decode(data: bytes, preprocessing: Preprocessing) -> Pixels:
    """Turn an encoded photo into one model input, upright as a person sees it.

    JPEGs are decoded at the smallest DCT scale that still gives ``_DRAFT_FACTOR`` times the resized size: in
    photos no pixel differs by more than 8/255 from a full decode. Transparency lies on white; colour
    profiles are ignored, since renditions have none. Thread-safe.

    Returns:
        uint8 ``(input_px, input_px, 3)``, RGB, contiguous: the centre crop.
    Raises:
        UnreadableImage: as ``opened`` does.
    """
    with opened(data) as image:
        return _decoded(data, image, preprocessing)


def _decoded(data: bytes, image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        # Both sides are asked to stay above the target of the shorter one, so that one decides.
        enough_px = math.ceil(_DRAFT_FACTOR * preprocessing.resize_px)
        image.draft(None, (enough_px, enough_px))
        pixels = _fast_decoded(data, image, (width, height), preprocessing)
        if pixels is not None:
            return pixels
    image.load()
    scale = max(round(width / image.width), 1)
    if scale == 1:
        width, height = image.size  # a TIFF turns itself upright while it loads
    orientation, side = orientation_of(image), preprocessing.input_px
    swapped = orientation in SWAPPED
    frame = frame_of(*((height, width) if swapped else (width, height)), preprocessing)
    if swapped:
        frame = Frame(frame.height, frame.width, frame.top, frame.left)
    if orientation in MIRRORED_X:
        frame = frame._replace(left=frame.width - side - frame.left)
    if orientation in MIRRORED_Y:
        frame = frame._replace(top=frame.height - side - frame.top)
    resampling = RESAMPLING[preprocessing.interpolation]
    if scale == 1:
        crop = exact_crop(to_rgb(image), frame, side, resampling, rows_first=swapped)
    else:
        # In the drafted photo's own pixels; its last row or column may stand for less than a whole one.
        box = source_box(frame, width / scale, height / scale, side)
        crop = just_the_crop(to_rgb(image), box, side, resampling, rows_first=swapped)
    return np.array(turned(crop, orientation), dtype=np.uint8)


def _fast_decoded(
    data: bytes, drafted: Image.Image, size: tuple[int, int], preprocessing: Preprocessing
) -> Pixels | None:
    """Decode an upright colour JPEG by something faster than Pillow; None where that is impossible."""
    if drafted.format != "JPEG" or drafted.mode != "RGB" or orientation_of(drafted) != 1:
        return None
    if preprocessing.decoder == "nvjpeg":
        return nvjpeg.decode(data, preprocessing)
    if not simd_jpeg.IS_INSTALLED:
        return None
    return simd_jpeg.decode(data, drafted.size, size, preprocessing)
