"""The two JPEGs of steps 1 and 7 that verdicts are based on: the stored photo and its square thumbnail.

The site stores them. The folder tool makes the same two JPEGs from a file that was never uploaded, so that it
reaches the same verdict as the site.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from checker.pixels.colour.srgb import averageable, to_srgb
from checker.pixels.formats.opening import open_image
from checker.pixels.orientation import orientation_of, upright
from checker.pixels.sizes import DEFAULT_SIZES, RenditionSizes
from checker.values import Rendition


class Crop(NamedTuple):
    """The thumbnail's square, in pixels of the photo."""

    left: int
    top: int
    side: int

    def rotated(self, height_px: int) -> Crop:
        """Return the same square after a photo of this height was rotated clockwise by 90 degrees."""
        return Crop(height_px - self.top - self.side, self.left, self.side)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Two sRGB JPEGs, upright and without metadata."""

    photo: bytes
    thumbnail: bytes
    width_px: int
    height_px: int
    thumbnail_px: int
    crop: Crop


def site_renditions(data: bytes, *, fast: bool = True) -> dict[Rendition, bytes]:
    """Make both JPEGs of an encoded photo, in the default sizes.

    Args:
        fast: reduce larger photos further than the site does, in a sixth of the time; the log-odds of
            12-megapixel photos change by 0.04 in the median, by 0.2 at most. Photos whose shorter side is
            below 1280 px and longer side within ``max_edge_px`` give the same bytes as an upload.
    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    with open_image(data, is_stored=False) as image:
        draft(image, DEFAULT_SIZES, fast=fast)
        image.load()
        encoded = encode(upright_photo(image, DEFAULT_SIZES, fast=fast), DEFAULT_SIZES)
    return {Rendition.PHOTO: encoded.photo, Rendition.THUMBNAIL: encoded.thumbnail}


def draft(image: Image.Image, sizes: RenditionSizes, *, fast: bool) -> None:
    """Let a JPEG that is not loaded yet decode at the smallest scale that is large enough.

    Other formats are left alone: the draft of a HEIC is its preview, which may show something else.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    enough_px = (_enough_px(sizes),) * 2 if fast else _bounded_size(image.size, sizes.max_edge_px)
    image.draft(None, enough_px)


def upright_photo(image: Image.Image, sizes: RenditionSizes, *, fast: bool) -> Image.Image:
    """Turn a loaded image into the photo to store: within ``max_edge_px``, sRGB on white, upright.

    Nothing is scaled up.

    Args:
        fast: average whole squares of pixels down to twice the thumbnail's side or more, for callers that
            only want a verdict.
    """
    photo = averageable(image)
    if "crop" in image.info:
        photo = photo.crop(image.info["crop"])
    if fast and (factor := min(photo.size) // _enough_px(sizes)) > 1:
        photo = photo.reduce(factor)
    size = _bounded_size(photo.size, sizes.max_edge_px)
    if size != photo.size:
        # HAMMING takes half the time of Lanczos (109 ms instead of 210 from 12 to 5 megapixels), and the
        # result looks no softer.
        photo = photo.resize(size, Image.Resampling.HAMMING)
    return upright(to_srgb(photo), orientation_of(image))


def encode(photo: Image.Image, sizes: RenditionSizes) -> Encoded:
    """Cut the thumbnail from the middle of an ``upright_photo`` and encode photo and thumbnail.

    The thumbnail of a photo that is smaller than ``thumbnail_px`` has the photo's shorter side.
    """
    side = min(photo.size)
    return _encoded(photo, Crop((photo.width - side) // 2, (photo.height - side) // 2, side), sizes)


def rotated_photo(photo: bytes, quarters: int, crop: Crop, sizes: RenditionSizes) -> Encoded:
    """Rotate a stored photo clockwise by ``quarters`` times 90 degrees; its square shows the same part.

    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    with open_image(photo) as image:
        image.load()
        rotated: Image.Image = image
        for _ in range(quarters % 4):
            crop, rotated = crop.rotated(rotated.height), rotated.transpose(Image.Transpose.ROTATE_270)
        return _encoded(rotated, crop, sizes)


def _encoded(photo: Image.Image, crop: Crop, sizes: RenditionSizes) -> Encoded:
    thumbnail = _square(photo, crop, sizes)
    return Encoded(
        photo=_jpeg(photo, sizes.jpeg_quality),
        thumbnail=_jpeg(thumbnail, sizes.jpeg_quality),
        width_px=photo.width,
        height_px=photo.height,
        thumbnail_px=thumbnail.width,
        crop=crop,
    )


def cut_thumbnail(photo: bytes, crop: Crop, sizes: RenditionSizes) -> tuple[bytes, int]:
    """Cut another square from a stored photo; return it as a JPEG, and its side in pixels.

    Args:
        crop: lies within the photo.
    Raises:
        UnreadableImage: as ``open_image`` does.
    """
    with open_image(photo) as image:
        image.load()
        thumbnail = _square(image, crop, sizes)
    return _jpeg(thumbnail, sizes.jpeg_quality), thumbnail.width


def _square(photo: Image.Image, crop: Crop, sizes: RenditionSizes) -> Image.Image:
    side_px = min(sizes.thumbnail_px, crop.side)
    return photo.resize(
        (side_px, side_px),
        Image.Resampling.LANCZOS,
        box=(crop.left, crop.top, crop.left + crop.side, crop.top + crop.side),
        reducing_gap=2.0,
    )


def _enough_px(sizes: RenditionSizes) -> int:
    """Shorter side that is enough for all model inputs, with a margin: finer detail changes no verdict."""
    return 2 * sizes.thumbnail_px


def _bounded_size(size: tuple[int, int], max_edge_px: int) -> tuple[int, int]:
    scale = min(1.0, max_edge_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _jpeg(photo: Image.Image, quality: int) -> bytes:
    photo.info.clear()  # otherwise Pillow would copy a comment
    out = io.BytesIO()
    # Baseline with standard tables: progressive would save 7 % of the bytes, but take 60 ms more here and
    # double the time of every later decoding; optimised tables would save 2 % for 17 ms.
    photo.save(out, "JPEG", quality=quality)
    return out.getvalue()
