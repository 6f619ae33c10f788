"""PNG files without what decoders stumble over and no pixel depends on; browsers skip the same.

Any chunk beside the critical ones may be broken, huge or unknown. Those of use here tell transparency, colour
and orientation; the others are left out, unread.
"""

from __future__ import annotations

import zlib

from PIL import PngImagePlugin

# Colour profiles and XMP of several MB are in use; Pillow allows 1. ``_inflates`` keeps the same bound.
_MAX_INFLATED_BYTES = PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_ANCILLARY = 0x20  # a bit of the chunk name's first byte
_MAX_CHUNKS = 2**16
_AROUND_BYTES = 12
"""Of a chunk beside its content: length, name, checksum."""
_WITH_ORIENTATION = frozenset({b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1"})
_SIZES = {b"cICP": 4, b"gAMA": 4, b"sRGB": 1}
_TRANSPARENT = {0: 2, 2: 6, 3: 1}
"""Colour type -> fewest bytes of a tRNS chunk; the other types have an alpha channel."""


def plain_png(data: bytes) -> bytes:
    """Return the file with its critical chunks, sound ones that are of use, and an end; if all are, itself.

    Wrong checksums of critical chunks and missing pixels are left for the decoder to find.
    """
    kept: list[bytes] = []
    position, kept_to, colour_type, has_pixels = len(SIGNATURE), 0, -1, False
    for _ in range(_MAX_CHUNKS):
        name, end = data[position + 4 : position + 8], position + _AROUND_BYTES + _uint32(data, position)
        if name.startswith(b"IEND"[: len(name)]) or (has_pixels and end > len(data)):
            break
        if len(name) < 4 or end > len(data):
            return data
        if name == b"IHDR":
            colour_type = int.from_bytes(data[position + 17 : position + 18], "big")
        has_pixels |= name == b"IDAT"
        if name[0] & _ANCILLARY:
            is_sound = zlib.crc32(data[position + 4 : end - 4]) == _uint32(data, end - 4)
            if not (is_sound and _is_of_use(name, data[position + 8 : end - 4], colour_type)):
                kept.append(data[kept_to:position])
                kept_to = end
        position = end
    else:
        return data  # more chunks than any encoder writes: refused by others
    has_end = data.startswith(_END, position)
    if has_end and not kept:
        return data
    if not has_end and not has_pixels:
        return data
    rest = data[kept_to:] if has_end else data[kept_to:position] + _END
    return b"".join([*kept, rest])


def _is_of_use(name: bytes, content: bytes, colour_type: int) -> bool:
    if name in _SIZES:
        return len(content) == _SIZES[name]
    if name == b"eXIf":
        return True
    if name == b"tRNS":
        return len(content) >= _TRANSPARENT.get(colour_type, len(content) + 1)
    keyword, _, rest = content.partition(b"\0")
    if name == b"iCCP":
        return rest.startswith(b"\0") and _inflates(rest[1:])
    if keyword not in _WITH_ORIENTATION:
        return False
    if name == b"zTXt":
        return rest.startswith(b"\0") and _inflates(rest[1:])
    if name == b"iTXt":
        text = rest[2:].split(b"\0", 2)[-1]
        return rest.startswith(b"\0") or (rest.startswith(b"\x01\0") and _inflates(text))
    return name == b"tEXt"


def _inflates(stream: bytes) -> bool:
    """Report a whole zlib stream within the bound."""
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(stream, _MAX_INFLATED_BYTES)
    except zlib.error:
        return False
    return inflater.eof


def _uint32(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")
