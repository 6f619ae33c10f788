"""The date on which a photo was taken, as the camera wrote it into the file."""

from __future__ import annotations

from datetime import datetime

from PIL import Image

from checker.pixels.formats.opening import DECODER_ERRORS

_EXIF_IFD = 0x8769
_DATE_TIME_ORIGINAL = 36867


def capture_date(image: Image.Image) -> str | None:
    """Return EXIF's DateTimeOriginal as in "2024-05-01T14:07:00"; None where it is missing or broken.

    According to the camera's clock: EXIF has no time zone.
    """
    try:
        text = image.getexif().get_ifd(_EXIF_IFD).get(_DATE_TIME_ORIGINAL)
        return datetime.strptime(str(text)[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except (*DECODER_ERRORS, Warning):
        return None  # good pixels are not refused for broken metadata
