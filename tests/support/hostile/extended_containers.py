"""Write TIFF and BMP files and colour profiles by hand, because no encoder writes what tests need."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Values = Sequence[int] | bytes
Tags = Mapping[int, tuple[int, Values]]
"""Tag -> TIFF's type (1 byte, 2 text, 3 short, 4 long, 7 opaque) and the values."""
_WIDTHS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}


def tiff_file(
    *directories: Tags, pixels: bytes = b"", order: str = "<", big: bool = False, loop: bool = False
) -> bytes:
    """Write a TIFF with one or more directories.

    Args:
        pixels: written before the directories, at offset 8 (16 in a BigTIFF); the tags must contain this
        offset. loop: whether the last directory names the first one as its successor.
    """
    offset, count = ("Q", "Q") if big else ("I", "H")
    inline = struct.calcsize(order + offset)
    head = 16 if big else 8
    body = bytearray(pixels + b"\0" * (-len(pixels) % 8))
    links = []
    starts = []
    for tags in directories:
        entries = []
        for tag, (kind, values) in sorted(tags.items()):
            packed = struct.pack(f"{order}{len(values)}{_WIDTHS[kind]}", *values)
            if len(packed) > inline:
                packed, at = struct.pack(order + offset, head + len(body)), packed
                body += at + b"\0" * (-len(at) % 8)
            entries.append(
                struct.pack(f"{order}HH{offset}", tag, kind, len(values)) + packed.ljust(inline, b"\0")
            )
        starts.append(head + len(body))
        body += struct.pack(order + count, len(entries)) + b"".join(entries)
        links.append(len(body))
        body += bytes(inline)
    for link, following in zip(links, [*starts[1:], starts[0] if loop else 0], strict=True):
        struct.pack_into(order + offset, body, link, following)
    mark = b"II" if order == "<" else b"MM"
    version = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    return mark + version + struct.pack(order + offset, starts[0]) + bytes(body)


def bmp_file(
    pixels: bytes,
    size_px: tuple[int, int],
    bits: int,
    *,
    compression: int = 0,
    palette: Sequence[tuple[int, int, int]] = (),
    masks: Sequence[int] = (),
    header_bytes: int = 40,
) -> bytes:
    """Write a BMP. A negative height in ``size_px`` means that the rows begin at the top."""
    if header_bytes == 12:
        header = struct.pack("<IHHHH", 12, *size_px, 1, bits)
        table = b"".join(bytes(reversed(colour)) for colour in palette)
    else:
        sizes = (header_bytes, *size_px, 1, bits, compression, len(pixels), 2835, 2835, len(palette), 0)
        header = struct.pack("<IiiHHIIiiII", *sizes)
        table = b"".join(bytes(reversed(colour)) + b"\0" for colour in palette)
        fields = b"".join(struct.pack("<I", mask) for mask in masks)
        if header_bytes == 40:
            header += fields
        else:  # the masks belong to the header; colour space "sRGB" follows
            header = (header + fields.ljust(16, b"\0") + b"BGRs").ljust(header_bytes, b"\0")
    offset = 14 + len(header) + len(table)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + table + pixels


def icc_profile(red: Sequence[float], green: Sequence[float], blue: Sequence[float], gamma: float) -> bytes:
    """Write a display profile (ICC version 2) with these primaries (XYZ under D50) and one tone curve."""

    def xyz(values: Sequence[float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    text = b"made by a test\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = {
        b"desc": described,
        b"cprt": b"text\0\0\0\0" + text,
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(red),
        b"gXYZ": xyz(green),
        b"bXYZ": xyz(blue),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
