"""Write PNG, JPEG, GIF and WebP structures by hand, because no encoder writes the files that tests need."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import numpy as np

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_chunk(kind: bytes, content: bytes = b"", *, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_header(width: int, height: int, depth: int = 8, colour_type: int = 2, interlaced: int = 0) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced))


def png_file(*chunks: bytes) -> bytes:
    return PNG_SIGNATURE + b"".join(chunks) + png_chunk(b"IEND")


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and content of each chunk."""
    chunks, at = [], len(PNG_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_rows(samples: np.ndarray, depth: int) -> bytes:
    """Compress unfiltered rows.

    Args:
        samples: ``(height, width, channels)``, each value within ``depth`` bits.
    """
    height = len(samples)
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))


def png_interlaced(samples: np.ndarray, depth: int) -> bytes:
    """Compress unfiltered rows like ``png_rows``, in the seven passes of Adam7."""
    passes = (
        (0, 8, 0, 8),
        (0, 8, 4, 8),
        (4, 8, 0, 4),
        (0, 4, 2, 4),
        (2, 4, 0, 2),
        (0, 2, 1, 2),
        (1, 2, 0, 1),
    )
    parts = (samples[y::dy, x::dx] for y, dy, x, dx in passes)
    rows = (zlib.decompress(png_rows(part, depth)) for part in parts if part.size)
    return zlib.compress(b"".join(rows))


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Insert segments after the start of a JPEG."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """Return (marker, complete bytes) of each segment. Coded data belongs to its start-of-scan segment."""
    segments, at = [], 2
    while at < len(data):
        marker = data[at + 1]
        end = at + 2
        if marker != 0xD9:
            end += int.from_bytes(data[end : end + 2], "big")
        if marker == 0xDA:
            while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
                end += 1
        segments.append((marker, data[at:end]))
        at = end
    return segments


def jpeg_file(segments: Iterable[tuple[int, bytes]]) -> bytes:
    return b"\xff\xd8" + b"".join(content for _, content in segments)


def gif_blocks(content: bytes) -> bytes:
    """Split ``content`` into sub-blocks and add the terminator."""
    parts = (content[at : at + 255] for at in range(0, len(content), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif_extension(label: int, content: bytes) -> bytes:
    return b"!" + bytes([label]) + gif_blocks(content)


def gif_application(name: bytes, content: bytes) -> bytes:
    return b"!\xff\x0b" + name.ljust(11)[:11] + gif_blocks(content)


def with_extensions(gif: bytes, *extensions: bytes) -> bytes:
    """Insert extensions before the first frame's blocks."""
    at = 13 + (6 << (gif[10] & 7) if gif[10] & 0x80 else 0)
    return gif[:at] + b"".join(extensions) + gif[at:]


def riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def webp_file(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body
