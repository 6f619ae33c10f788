"""Files that occupy a decoder for seconds to hours, made by this module."""

from __future__ import annotations

import functools
import io
import struct
import zlib

from PIL import Image

from tests.support.heif_items import HeifItems
from tests.support.hostile import drawing

FORMATS = ("JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC", "TIFF", "BMP")
# A deflate block with dynamic codes and without data. It ends at a byte boundary, so it can be repeated.
_EMPTY_BLOCK = bytes.fromhex("04c0010500000000a0feafae")


def chain_profile(links: int) -> bytes:
    """Make an RGB profile with ``links`` matrices that share their bytes: reading 1 000 takes 0.6 s."""
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

    The default has 180 kB and takes more than a minute to decode; the time grows with ``strips x blocks``.
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


@functools.lru_cache(64)
def encoded(format: str, size: tuple[int, int] = (320, 240), **options: object) -> bytes:
    """Return a noisy photo; the same one for the same arguments, because AVIF takes 0.1 s."""
    return drawing.encoded(Image.effect_noise(size, 60).convert("RGB"), format, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


# Files that keep a core busy while they are decoded. The times were measured without the checks of this
# project.


def jpeg_of_markers() -> bytes:  # 8 s
    data = encoded("JPEG")
    return data[:2] + b"\xff\xfe\0\2" * 5_000_000 + data[2:]


def jpeg_of_junk() -> bytes:  # 2 s
    data = encoded("JPEG")
    return data[:2] + b"\xff\xfe\0\2" + bytes(20_000_000) + data[2:]


@functools.cache  # making it takes 0.6 s
def jpeg_of_scans() -> bytes:  # more than a minute, from 0.6 MB
    out = io.BytesIO()
    Image.new("L", (8000, 8000)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last_scan * 3000 + data[-2:]


def arithmetic_jpeg(colours: int, scans: int, side_px: int = 8000) -> bytes:
    """Return a progressive JPEG in arithmetic coding. Its scans have no data, so it is grey."""
    frame = b"".join(bytes([number, 17, 0]) for number in range(1, colours + 1))
    header = struct.pack(">BHHB", 8, side_px, side_px, colours) + frame
    scan = bytes([colours, *(byte for number in range(1, colours + 1) for byte in (number, 0)), 0, 0, 0])
    parts = [(0xDB, b"\0" + b"\1" * 64), (0xCA, header), *[(0xDA, scan)] * scans]
    segments = (struct.pack(">BBH", 0xFF, name, 2 + len(content)) + content for name, content in parts)
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xd9"


def jpeg_of_arithmetic_scans_of_four_colours() -> bytes:  # 15 s, from 0.6 kB
    return arithmetic_jpeg(colours=4, scans=31)


def tiff_of_arithmetic_scans() -> bytes:  # 13 s, from 1.6 kB
    jpeg = arithmetic_jpeg(colours=3, scans=99)
    fields = [(256, 4, 1, 8000), (257, 4, 1, 8000), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 6)]
    fields += [(273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, 8000), (279, 4, 1, len(jpeg))]
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
    return struct.pack("<2sHI", b"II", 42, 8 + len(jpeg)) + jpeg + directory + bytes(4)


def png_of_chunks() -> bytes:  # 14 s
    return png(1, 1, chunk(b"teSt", b"") * 2_000_000, chunk(b"IDAT", zlib.compress(bytes(4))))


def gif_of_blocks() -> bytes:  # 3 s and a gigabyte
    data = encoded("GIF", (8, 8))
    frame = data.index(b",\0\0\0\0")
    return data[:frame] + b"!\xfe" + b"\1a" * 12_000_000 + b"\0" + data[frame:]


def tiff_of_strips(order: str = "<", big: bool = False) -> bytes:  # 25 s
    strips = 3_000_000
    fields = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, strips, 1000)]
    fields += [(278, 3, 1, 1), (279, 4, strips, 1000)]
    if big:
        head = struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(fields))
        entry = "HHQQ"
    else:
        head = struct.pack(order + "HIH", 42, 8, len(fields))
        entry = "HHII"
    directory = b"".join(struct.pack(order + entry, *field) for field in fields)
    start = (b"II" if order == "<" else b"MM") + head + directory
    return start.ljust(1000, b"\0") + struct.pack(order + "I", 64) * strips


def bmp_of_runs() -> bytes:  # 13 s, from 40 kB
    side = 10_000
    runs = b"\1\1\0\0" * side + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, side, -side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + header + bytes(1024) + runs


def tiff_of_strips_on_one_blob() -> bytes:  # hours, from 1.3 MB: 65 535 strips
    return slow_tiff(strips=65_535, blocks=60_000)


def jpeg_of_exif_in_many_segments() -> bytes:  # 5 s
    data = encoded("JPEG")
    part = b"Exif\0\0" + bytes(65_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part
    return data[:2] + segment * 380 + data[2:]


def heic_of_rotations() -> bytes:  # more than a minute, from 2 kB
    items = HeifItems(512)
    items.grid([items.tile] * 15**2, 7680, turns=250)
    return items.file()


def heic_of_copies() -> bytes:  # more than a minute, from 11 kB
    items = HeifItems(512)
    last = items.grid([items.tile] * 15**2, 7680)
    for _ in range(100):
        last = items.copy(last, 7680)
    return items.file()


def heic_of_grids_in_a_grid() -> bytes:  # 1 s; 16 times as long with tiles of a quarter the side
    items = HeifItems(64)
    part = items.grid([items.tile] * 11**2, 704)
    items.grid([part] * 11**2, 7744)
    return items.file()


def _jpeg_of_segments(marker: int, content: bytes) -> bytes:
    data = encoded("JPEG")
    segment = struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content
    return data[:2] + segment * 380 + data[2:]


def jpeg_of_tables() -> bytes:  # 2 s
    return _jpeg_of_segments(0xDB, (b"\0" + b"\1" * 64) * 1000)


def jpeg_of_frame_headers() -> bytes:  # 4 s and 800 MB
    return _jpeg_of_segments(0xC0, b"\x08\0\x40\0\x40\3" + b"\1\x11\0" * 21_000)


def jpeg_of_photoshop_resources() -> bytes:  # 2 s
    return _jpeg_of_segments(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5_000)


def tiff_of_repeated_sizes() -> bytes:
    """Make a TIFF that lists the same 65 536 strips in each of 65 000 tags: reading it takes minutes."""
    tags, strips = 65_000, 2**16
    numbers_at = 10 + 12 * tags + 4
    field = struct.pack("<HHII", 279, 4, strips, numbers_at)
    return b"II*\0" + struct.pack("<IH", 8, tags) + field * tags + bytes(4 + 4 * strips)


SLOW = (
    tiff_of_repeated_sizes,
    tiff_of_arithmetic_scans,
    jpeg_of_arithmetic_scans_of_four_colours,
    jpeg_of_tables,
    jpeg_of_frame_headers,
    jpeg_of_photoshop_resources,
    heic_of_rotations,
    heic_of_copies,
    heic_of_grids_in_a_grid,
    jpeg_of_exif_in_many_segments,
    tiff_of_strips_on_one_blob,
    jpeg_of_markers,
    jpeg_of_junk,
    jpeg_of_scans,
    png_of_chunks,
    gif_of_blocks,
    tiff_of_strips,
    bmp_of_runs,
)
