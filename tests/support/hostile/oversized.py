"""Files that are costly to decode: bombs, floods and odd sizes; and large photos that must be accepted."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.support.hostile.core_containers import (
    gif_blocks,
    gif_extension,
    jpeg_file,
    jpeg_segment,
    jpeg_segments,
    png_chunk,
    png_chunks,
    png_file,
    png_header,
    riff_chunk,
    webp_file,
    with_extensions,
    with_segments,
)
from tests.support.hostile.drawing import SIZE_PX, bilevel, encoded, jpeg, photo, png
from tests.support.hostile.extended_containers import bmp_file, tiff_file
from tests.support.hostile.extended_variants import tiff_tags
from tests.support.hostile.file import HostileFile, accepted, refused

_FLOOD = 70_000
"""A number of parts in one file that no ordinary encoder writes."""


def bombs() -> list[HostileFile]:
    gif = encoded(photo().quantize(16), "GIF")
    small, progressive = (
        jpeg(),
        jpeg_segments(encoded(Image.new("L", (2000, 2000)), "JPEG", progressive=True)),
    )
    *others, last_scan, end = progressive
    header, *chunks = (png_chunk(*chunk) for chunk in png_chunks(png()))
    inflated = zlib.compress(bytes(30 * 2**20), 1)
    row_bytes = 20_000 // 8 + 1
    black = png_chunk(b"IDAT", zlib.compress(bytes(row_bytes * 20_000), 1))
    frame_header = next(content for marker, content in jpeg_segments(small) if marker == 0xC0)
    wide = tiff_tags(t256=(4, (2**32 - 1,)), t257=(4, (2**32 - 1,)))
    strips = tiff_tags(t273=(4, (8,) * _FLOOD), t279=(4, (1,) * _FLOOD))
    runs = bmp_file(b"\xff\0" * 9000, (3000, 3000), 8, compression=1, palette=[(0, 0, 0)])
    vp8l = b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(8)
    files = {
        "screen-65535.gif": gif[:6] + struct.pack("<HH", 65535, 65535) + gif[10:],
        "frame-65535.gif": gif.replace(_gif_frame(SIZE_PX), _gif_frame((65535, 65535)), 1),
        "declares-65535.jpg": small.replace(frame_header, _frame(frame_header, 65535, 65535)),
        "declares-2147483647.png": png_file(png_header(2**31 - 1, 2**31 - 1), *chunks[:-1]),
        "declares-65535.png": png_file(png_header(65535, 65535), *chunks[:-1]),
        "400-megapixels-in-50-kB.png": png_file(png_header(20_000, 20_000, 1, 0), black),
        "texts-of-30-MB.png": png_file(header, *[png_chunk(b"zTXt", b"a\0\0" + inflated)] * 4, *chunks[:-1]),
        "profile-of-30-MB.png": png_file(header, png_chunk(b"iCCP", b"a\0\0" + inflated), *chunks[:-1]),
        "268-megapixels.webp": webp_file(riff_chunk(b"VP8L", vp8l)),
        "declares-60000.bmp": bmp_file(bytes(12_000), (60_000, 60_000), 24),
        "declares-2147483647.bmp": bmp_file(bytes(128), (2**31 - 1, -(2**31) + 1), 32),
        "declares-4294967295.tif": tiff_file(wide, pixels=bytes(64)),
        "declares-60000.heic": _resized(encoded(photo(), "HEIC", quality=80), 60_000),
        "declares-60000.avif": _resized(encoded(photo(), "AVIF", speed=10), 60_000),
        "600-scans.jpg": jpeg_file([*others, *[last_scan] * 600, end]),
        "70000-segments.jpg": with_segments(small, jpeg_segment(0xFE, b"") * _FLOOD),
        "2-MB-of-junk.jpg": small[:2] + b"junk" * 2**19 + small[2:],
        "70000-chunks.png": png_file(header, png_chunk(b"prVt") * _FLOOD, *chunks[:-1]),
        "70000-comments.gif": with_extensions(gif, gif_extension(0xFE, b"") * _FLOOD),
        "70000-sub-blocks.gif": with_extensions(gif, b"!\xfe" + b"\x01a" * _FLOOD + gif_blocks(b"")),
        "70000-strips.tif": tiff_file(strips, pixels=bytes(64)),
        "run-length-of-9-megapixels.bmp": runs,
    }
    return refused("bomb", files.items())


def _gif_frame(size_px: tuple[int, int]) -> bytes:
    return b"," + struct.pack("<HHHH", 0, 0, *size_px)


def _frame(header: bytes, width: int, height: int) -> bytes:
    return header[:5] + struct.pack(">HH", height, width) + header[9:]


def _resized(data: bytes, side_px: int) -> bytes:
    """Declare another size in each ``ispe`` box of a HEIC or AVIF file."""
    parts = data.split(b"ispe\0\0\0\0")
    changed = [struct.pack(">II", side_px, side_px) + part[8:] for part in parts[1:]]
    return b"ispe\0\0\0\0".join([parts[0], *changed])


def bad_dimensions() -> list[HostileFile]:
    small = jpeg()
    frame_header = next(content for marker, content in jpeg_segments(small) if marker == 0xC0)
    chunks = [png_chunk(*chunk) for chunk in png_chunks(png())][1:-1]
    gif = encoded(photo().quantize(16), "GIF")
    pixels = bytes(SIZE_PX[0] * SIZE_PX[1] * 3)
    files = {
        "width-0.png": png_file(png_header(0, SIZE_PX[1]), *chunks),
        "height-0.png": png_file(png_header(SIZE_PX[0], 0), *chunks),
        "height-0.jpg": small.replace(frame_header, _frame(frame_header, SIZE_PX[0], 0)),
        "width-0.jpg": small.replace(frame_header, _frame(frame_header, 0, SIZE_PX[1])),
        "frame-0.gif": gif.replace(_gif_frame(SIZE_PX), _gif_frame((0, 0)), 1),
        "width-0.bmp": bmp_file(pixels, (0, SIZE_PX[1]), 24),
        "height-0.bmp": bmp_file(pixels, (SIZE_PX[0], 0), 24),
        "0-by-0.tif": tiff_file(tiff_tags(t256=(3, (0,)), t257=(3, (0,))), pixels=pixels),
        "height-0.tif": tiff_file(tiff_tags(t257=(3, (0,))), pixels=pixels),
    }
    return refused("bad-dimensions", files.items())


def odd_dimensions() -> Iterator[HostileFile]:
    def file(name: str, data: bytes, size_px: tuple[int, int]) -> HostileFile:
        return accepted("odd-dimensions", name, data, None, size_px)

    for size_px in ((8, 4000), (4000, 8)):
        flat = Image.new("RGB", size_px, "teal")
        yield file(f"{size_px[0]}-by-{size_px[1]}.jpg", encoded(flat, "JPEG"), size_px)
    for size_px in ((1, 1), (1, 700)):
        flat = Image.new("RGB", size_px, "teal")
        yield file(f"{size_px[0]}-by-{size_px[1]}.png", encoded(flat, "PNG"), size_px)


def heavy_but_valid() -> Iterator[HostileFile]:
    """Yield small files that contain photos of 24 megapixels."""

    def file(name: str, data: bytes, size_px: tuple[int, int]) -> HostileFile:
        return accepted("heavy-valid", name, data, None, size_px)

    size_px = (6000, 4000)
    yield file("24-megapixels.jpg", encoded(Image.new("RGB", size_px, "teal"), "JPEG"), size_px)
    rows = zlib.compress(bytes((size_px[0] // 8 + 1) * size_px[1]), 1)
    yield file("24-megapixels.png", png_file(png_header(*size_px, 1, 0), png_chunk(b"IDAT", rows)), size_px)
    yield file("24-megapixels.tif", encoded(bilevel(size_px), "TIFF", compression="group4"), size_px)
