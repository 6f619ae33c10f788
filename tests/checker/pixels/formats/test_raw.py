"""Raw photos are refused by name, in whatever format a camera's maker stores them."""

from __future__ import annotations

import pytest

from checker.errors import UnreadableImage
from checker.pixels.formats.opening import open_image

STARTS = {
    "Panasonic RW2": b"IIU\0\x18\0\0\0",
    "Olympus ORF": b"IIRO\x08\0\0\0",
    "Olympus ORF, big-endian": b"MMOR\0\0\0\x08",
    "Fujifilm RAF": b"FUJIFILMCCD-RAW 0201FF383501",
    "Sigma X3F": b"FOVb\0\0\2\0",
    "Minolta MRW": b"\0MRM\0\0\0\0",
    "Canon CRW": b"II\x1a\0\0\0HEAPCCDR",
    "Canon CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "Phase One IIQ": b"II*\0\x10\0\0\0IIII\1waR" + bytes(16),
    "Phase One IIQ, big-endian": b"MM\0*\0\0\0\x10MMMMRaw\1" + bytes(16),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_raw_photo_is_refused_by_name(start: bytes) -> None:
    with pytest.raises(UnreadableImage, match="This is a raw photo"), open_image(start + bytes(500)):
        pass
