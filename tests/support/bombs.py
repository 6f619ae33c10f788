"""Small files that occupy a decoder for minutes, made by this module."""

from __future__ import annotations

import struct
import zlib

# A deflate block with dynamic codes and without data; it ends at a byte boundary, so any number may follow.
_EMPTY_BLOCK = bytes.fromhex("04c0010500000000a0feafae")


def chain_profile(links: int) -> bytes:
    """Make an RGB profile with ``links`` matrices that share their bytes: 1 000 take 0.6 s."""
    matrix = struct.pack(">4s4xHH12f", b"matf", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    element_at = 16 + 8 * links
    chain = struct.pack(">4s4xHHI", b"mpet", 3, 3, links)
    chain += struct.pack(">II", element_at, len(matrix)) * links + matrix
    tags = struct.pack(">I4sII", 1, b"D2B0", 144, len(chain))
    head = struct.pack(">I4xI4s4s4s", 144 + len(chain), 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">III", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + tags + chain


def slow_tiff(strips: int = 20_000, blocks: int = 2_000) -> bytes:
    """Make a TIFF whose strips, of one row each, share one stream of empty deflate blocks.

    By default it has 180 kB and takes more than a minute; the time grows with ``strips x blocks``.
    """
    row = bytes(8)
    last = b"\x01" + struct.pack("<HH", len(row), len(row) ^ 0xFFFF) + row
    stream = b"\x78\x01" + _EMPTY_BLOCK * blocks + last + struct.pack(">I", zlib.adler32(row))
    offsets_at = 8 + len(stream)
    counts_at = offsets_at + 4 * strips
    fields = [
        (256, 4, 1, len(row)),  # width
        (257, 4, 1, strips),  # height
        (258, 3, 1, 8),  # bits
        (259, 3, 1, 8),  # deflate
        (262, 3, 1, 1),  # black is zero
        (273, 4, strips, offsets_at),
        (277, 3, 1, 1),  # samples
        (278, 3, 1, 1),  # rows of a strip
        (279, 4, strips, counts_at),
    ]
    directory = struct.pack("<H", len(fields))
    directory += b"".join(struct.pack("<HHII", *field) for field in fields) + bytes(4)
    return (
        struct.pack("<2sHI", b"II", 42, counts_at + 4 * strips)
        + stream
        + struct.pack("<I", 8) * strips
        + struct.pack("<I", len(stream)) * strips
        + directory
    )
