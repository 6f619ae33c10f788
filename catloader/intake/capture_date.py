"""The date on which a photo was taken, as the camera wrote it into the file."""

from __future__ import annotations

import re
from datetime import datetime

from PIL import Image

from checker.pixels.formats.opening import DECODER_ERRORS

_EXIF_IFD = 0x8769
_DATE_TIME_ORIGINAL = 36867
_DATE = re.compile(r"\s*(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)[ T](\d\d?):(\d\d?)(?::(\d\d?))?", re.ASCII)
"""EXIF requires colons and seconds; scanners, phones and editors write other forms too."""


def capture_date(image: Image.Image) -> str | None:
    """Return EXIF's DateTimeOriginal as in "2024-05-01T14:07:00"; None if it is missing or broken.

    The time is that of the camera's clock, without a time zone, which EXIF does not have.
    """
    try:
        date = image.getexif().get_ifd(_EXIF_IFD).get(_DATE_TIME_ORIGINAL)
        text = (
            date.decode("latin-1") if isinstance(date, bytes) else str(date)
        )  # bytes: a wrong type in the file
        parts = _DATE.match(text)
        return datetime(*(int(part or 0) for part in parts.groups())).isoformat() if parts else None  # type: ignore[arg-type]
    except (*DECODER_ERRORS, Warning):
        return None  # good pixels are accepted despite broken metadata
