"""Step 7, decode: bytes in, uint8 pixels at the model's input size out.

The pixels equal those of torchvision's resize and crop (within 2 of 255 with vector instructions); of a large
JPEG only the needed part is decoded.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from checker.errors import CheckerError, ClassifierFailed, Unexpected
from checker.pixels import nvjpeg, simd_jpeg
from checker.pixels.colour.srgb import to_rgb
from checker.pixels.crop import RESAMPLING, Part, exact_part, just_the_part
from checker.pixels.formats.opening import open_image
from checker.pixels.frame import Frame, Layout, centre_square, end_squares, whole_square
from checker.pixels.orientation import SWAPPED, orientation_of, upright
from checker.values import Pixels, Rendition
from models.catalogue import Preprocessing

logger = logging.getLogger(__name__)

LIBRARIES = ("numpy", "pillow", *(("simplejpeg", "cykooz-resizer") if simd_jpeg.IS_INSTALLED else ()))
"""Packages that the pixels depend on; their versions are logged with every verdict."""

# Compared with full decodes of photos with much fine detail: with 2 some pixels differ by 14 of 255, with
# 2.75 by 8. A photo of 12 megapixels (4000 x 3000) is still decoded at a quarter of its size for 256 px.
_DRAFT_FACTOR = 2.75


def keep_memory(workers: int) -> None:
    """Let Pillow reuse the memory of the last photos for the next photos in this process.

    This saves a tenth of the time of large photos: otherwise the kernel takes every page back and clears it
    again. Memory: at most ``workers x 2`` blocks of 16 MB, if photos are large enough.
    """
    Image.core.set_blocks_max(2 * workers)  # type: ignore[attr-defined]  # documented, but missing from the stubs


def decode(data: bytes, preprocessing: Preprocessing, *, is_stored: bool = True) -> Pixels:
    """Turn an encoded photo into one model input: the centre square, as torchvision crops it.

    Args:
        is_stored: see ``open_image``.
    Returns:
        uint8 ``(input_px, input_px, 3)``, RGB, contiguous.
    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    return np.asarray(decode_squares(data, preprocessing, centre_square, is_stored=is_stored)[0])


def model_inputs(renditions: Mapping[Rendition, bytes], preprocessing: Preprocessing) -> Pixels:
    """Turn a photo's two renditions into its three model inputs.

    A cat may be anywhere in the photo, so the model sees both ends of the photo, and the thumbnail, which is
    its centre square. Profiles depend on these inputs: a change of them must raise ``profile.FORMAT``.

    Returns:
        uint8 ``(INPUTS_PER_PHOTO, input_px, input_px, 3)``: the photo's two ends, the thumbnail.
    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    return np.concatenate(
        [
            decode_squares(renditions[Rendition.PHOTO], preprocessing, end_squares),
            decode_squares(renditions[Rendition.THUMBNAIL], preprocessing, whole_square),
        ]
    )


def decode_each(
    photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
) -> Iterator[Pixels | CheckerError]:
    """Make the model inputs in this process; see ``ports.Decoder``. For trusted photos only."""
    for renditions in photos:
        try:
            yield model_inputs(renditions, preprocessing)
        except CheckerError as error:
            yield error
        except MemoryError:
            yield ClassifierFailed("There was not enough memory to decode the photo.")
        except Exception as error:  # the boundary of one photo
            logger.exception("a photo could not be decoded")
            yield Unexpected(f"The decoder failed on this photo ({type(error).__name__}).")


def decode_squares(
    data: bytes, preprocessing: Preprocessing, layout: Layout, *, is_stored: bool = True
) -> Pixels:
    """Turn an encoded photo into the model inputs that ``layout`` places, turned upright.

    JPEGs are decoded at the smallest DCT scale that still gives ``_DRAFT_FACTOR`` times the resized size: in
    photos no pixel differs by more than 8/255 from a full decode. Transparent parts become white; colour
    profiles are ignored, since renditions have none. Thread-safe.

    Args:
        is_stored: see ``open_image``.
    Returns:
        uint8 ``(squares, input_px, input_px, 3)``, RGB, contiguous.
    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    with open_image(data, is_stored=is_stored) as image:
        pixels, frame = _decoded(data, image, preprocessing, layout)
    part = Part.of(frame)
    return frame.cut(pixels, part.left, part.top)


def _decoded(
    data: bytes, image: Image.Image, preprocessing: Preprocessing, layout: Layout
) -> tuple[Pixels, Frame]:
    """Return the pixels of the squares' bounding box, and the frame with the squares' positions."""
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        # Both sides must stay above the target of the shorter side, so that the shorter side sets the scale.
        enough_px = math.ceil(_DRAFT_FACTOR * preprocessing.resize_px)
        image.draft(None, (enough_px, enough_px))
        frame = layout(width, height, preprocessing)
        pixels = _fast_decoded(data, image, (width, height), preprocessing, frame)
        if pixels is not None:
            return pixels, frame
    image.load()
    scale = max(round(width / image.width), 1)
    if scale == 1:
        width, height = image.size  # Pillow turns a TIFF upright while loading
    orientation = orientation_of(image)
    swapped = orientation in SWAPPED
    frame = layout(*((height, width) if swapped else (width, height)), preprocessing)
    part = Part.of(frame).stored(orientation)
    resampling = RESAMPLING[preprocessing.interpolation]
    if scale == 1:
        crop = exact_part(to_rgb(image), part, resampling, rows_first=swapped)
    else:
        # In pixels of the drafted photo, whose last row or column may cover fewer source pixels.
        box = part.source(width / scale, height / scale)
        size = (part.width, part.height)
        crop = just_the_part(to_rgb(image), box, size, resampling, rows_first=swapped)
    return np.array(upright(crop, orientation), dtype=np.uint8), frame


def _fast_decoded(
    data: bytes, drafted: Image.Image, size: tuple[int, int], preprocessing: Preprocessing, frame: Frame
) -> Pixels | None:
    """Decode an upright colour JPEG with a faster library than Pillow; None if that is impossible."""
    if drafted.format != "JPEG" or drafted.mode != "RGB" or orientation_of(drafted) != 1:
        return None
    part = Part.of(frame)
    if preprocessing.decoder == "nvjpeg":
        return nvjpeg.decode(data, part, preprocessing.interpolation)
    if not simd_jpeg.IS_INSTALLED:
        return None
    return simd_jpeg.decode(data, drafted.size, size, part, preprocessing.interpolation)
