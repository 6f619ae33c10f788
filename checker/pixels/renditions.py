"""What the site would have stored for a photo that was never uploaded.

Verdicts rest on two JPEGs, the stored photo and its thumbnail, and so do the measured thresholds. The folder
tool makes the same two, so that it says of a photo what the site would say of it.
"""

from __future__ import annotations

import io

from PIL import Image, ImageCms

from checker.pixels.decode import UPRIGHT, opened, orientation_of, rgb
from checker.ports import Rendition

# The site's defaults (CATLOADER_MAX_EDGE_PX, _THUMBNAIL_PX, _JPEG_QUALITY); a test compares the three.
MAX_EDGE_PX = 2560
THUMBNAIL_PX = 320
JPEG_QUALITY = 88

_ENOUGH_PX = 2 * THUMBNAIL_PX
"""From twice this on the shorter side is reduced by whole factors: neither view can tell."""

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def site_views(data: bytes) -> dict[Rendition, bytes]:
    """Both JPEGs, upright, sRGB, without metadata.

    The same bytes as an upload gives where the shorter side is below 1280 px and the longer one within
    ``MAX_EDGE_PX``. Larger photos are reduced further than the site does, for a sixth of the time: the
    log-odds of 12-megapixel ones move by 0.04 in the median and by 0.2 at most.

    Raises:
        UnreadableImage: as ``decode`` does.
    """
    with opened(data) as image:
        if image.format in ("JPEG", "MPO"):
            image.draft(None, (_ENOUGH_PX, _ENOUGH_PX))
        image.load()
        photo = _srgb(_bounded(image))
        turn = UPRIGHT.get(orientation_of(image))
        if turn is not None:
            photo = photo.transpose(turn)
        return {Rendition.PHOTO: _jpeg(photo), Rendition.THUMBNAIL: _jpeg(_thumbnail(photo))}


def _bounded(image: Image.Image) -> Image.Image:
    factor = min(image.size) // _ENOUGH_PX
    if factor > 1:
        image = _averageable(image).reduce(factor)
    scale = MAX_EDGE_PX / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = _averageable(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _averageable(image: Image.Image) -> Image.Image:
    """Its pixels' values mean something in between: no palette, no bits, no colour that stands for none."""
    if image.mode in ("RGBA", "LA"):  # Pillow weighs each pixel by how much of it can be seen
        return image
    return image if image.mode in ("L", "RGB", "CMYK") and not image.has_transparency_data else rgb(image)


def _srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.has_transparency_data:
        return rgb(image)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or rgb(image)
    except (OSError, ImageCms.PyCMSError):
        return rgb(image)  # broken, or made for another colour model than the pixels'


def _thumbnail(photo: Image.Image) -> Image.Image:
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    side_px = min(THUMBNAIL_PX, side)
    box = (left, top, left + side, top + side)
    return photo.resize((side_px, side_px), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _jpeg(picture: Image.Image) -> bytes:
    picture.info.clear()  # Pillow would carry a comment over
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
