"""Recognition of raw photos by their first bytes: those that are not TIFFs (``tiff`` finds the others)."""

from __future__ import annotations

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


def is_raw(data: bytes) -> bool:
    """Return True for a raw photo in a camera maker's own format."""
    return data.startswith(_STARTS) or data[6:14] == _CANON_CIFF or data[4:12] == _CANON_CR3
