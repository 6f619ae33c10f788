"""Change HEIC and AVIF files in ways that the encoders here can't: other properties, other brands."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Property = tuple[bytes, bytes]
"""Name and content of a box."""

_TRANSFORMATIONS, _ESSENTIAL = {b"clap", b"irot", b"imir"}, 0x80
"""Properties that decoders require to be marked as essential."""
_NO_LARGE_IDS = b"\x01\0\0\0" + bytes(4)
"""An empty property list for items with ids of 4 bytes, which may precede the list of 2-byte ids."""


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def with_properties(
    data: bytes, *added: Property, first: tuple[Property, ...] = (), colour: bool = True
) -> bytes:
    """Add properties to the photo.

    The changed list is appended to the file, so that no offset in the file changes.

    Args:
        first: boxes that come before all others and belong to no item.
        colour: False removes the photo's own colour property.
    """
    at, meta = next((at, content) for at, name, content in boxes(data) if name == b"meta")
    parts = b"".join(
        box(name, _properties(content, added, first, colour=colour) if name == b"iprp" else content)
        for _, name, content in boxes(meta[4:])
    )
    return data[: at + 4] + b"free" + data[at + 8 :] + box(b"meta", meta[:4] + parts)


def with_brands(data: bytes, major: bytes, *compatible: bytes) -> bytes:
    """Replace the brands. The new ones are repeated to fill the same space."""
    (size,) = struct.unpack_from(">I", data)
    count = (size - 16) // 4
    names = (compatible * count)[:count] if compatible else ()
    return box(b"ftyp", major + bytes(4) + b"".join(names)).ljust(size, b"\0") + data[size:]


def nclx(primaries: int, transfer: int) -> Property:
    """Return a colour property given by code points (CICP), in full range."""
    return b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 6, 0x80)


def crop(width: int, height: int, right: int, down: int) -> Property:
    """Return a crop whose centre is moved by ``right`` and ``down`` half-pixels."""
    return b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2)


def _properties(
    iprp: bytes, added: tuple[Property, ...], first: tuple[Property, ...], *, colour: bool
) -> bytes:
    ipco, ipma = (content for _, _, content in boxes(iprp))
    before = b"".join(box(*one) for one in first)
    old = list(boxes(ipco))
    kept = [
        ipma[place] + len(first)
        for place in range(11, 11 + ipma[10])
        if colour or old[(ipma[place] & 0x7F) - 1][1] != b"colr"
    ]
    own = [
        number | (_ESSENTIAL if name in _TRANSFORMATIONS else 0)
        for number, (name, _) in enumerate(added, len(first) + len(old) + 1)
    ]
    numbers = bytes([*kept, *own])
    changed = ipma[:10] + bytes([len(numbers)]) + numbers + ipma[11 + ipma[10] :]
    content = before + ipco + b"".join(box(*one) for one in added)
    return box(b"ipco", content) + box(b"ipma", _NO_LARGE_IDS) + box(b"ipma", changed)


def boxes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield position, name and content of each box."""
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        yield at, name, data[at + 8 : at + size]
        at += size
