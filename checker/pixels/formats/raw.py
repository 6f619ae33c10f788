"""Recognise raw photos by their first bytes.

``tiff`` finds raw photos that their TIFF directories mark as such; this module finds the others.
"""

from __future__ import annotations

import re

RAW_PHOTO = "This is a raw photo. Save it as JPEG and try again."
_STARTS = (
    b"IIU\0",  # Panasonic
    b"IIRO",  # Olympus; the next two as well
    b"IIRS",
    b"MMOR",
    b"FUJIFILMCCD-RAW",
    b"FOVb",  # Sigma
    b"\0MRM",  # Minolta
)
_CANON_CIFF = b"HEAPCCDR"  # at byte 6
_CANON_CR3 = b"ftypcrx "  # at byte 4
_PHASE_ONE = re.compile(rb"(II\*\0|MM\0\*)....(IIII.waR|MMMMRaw)", re.DOTALL)
"""A TIFF of previews: the position of the sensor's samples follows the header and is in no directory."""


def is_raw(data: bytes) -> bool:
    """Return True for a raw photo in a camera maker's own format."""
    is_known = data.startswith(_STARTS) or data[6:14] == _CANON_CIFF or data[4:12] == _CANON_CR3
    return is_known or _PHASE_ONE.match(data) is not None
