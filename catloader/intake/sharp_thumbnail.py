"""The thumbnail for high-density screens: cut from the stored photo when it is requested.

It is not stored: it would take as much space as three thumbnails, and most photos are viewed on their own
page or not at all. Browsers cache it.
"""

from __future__ import annotations

import io

from PIL import Image

from checker.pixels.renditions import Crop

SHARP_PX = 640
_QUALITY = 72
"""Lower than the quality of the thumbnail: on high-density screens JPEG blocks are not visible."""


def sharp_thumbnail(photo: bytes, crop: Crop) -> bytes:
    """Return the square as a JPEG of at most ``SHARP_PX``, never scaled up. Takes about 15 ms.

    Args:
        photo: a JPEG encoded by the site and verified against its digest, because it is decoded in this
            process.
        crop: lies within the photo.
    """
    with Image.open(io.BytesIO(photo), formats=("JPEG",)) as image:
        width_px, side_px = image.width, min(SHARP_PX, crop.side)
        # The decoder skips detail that resizing would average away.
        image.draft(None, (side_px * image.width // crop.side, side_px * image.height // crop.side))
        scale = image.width / width_px
        left, top, side = (scale * number for number in crop)
        square = image.resize(
            (side_px, side_px), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)
        )
    out = io.BytesIO()
    square.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
