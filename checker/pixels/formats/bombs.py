"""Refuse files that would keep a decoder busy, by a walk over their parts before decoding.

The size in the header limits the memory that a photo takes, but not the time: a megabyte of empty progressive
scans keeps libjpeg busy for minutes, and Pillow walks chunks, markers and strips one by one in Python.
"""

from __future__ import annotations

import operator
import re
import struct

from checker.errors import TakesTooLong
from checker.pixels.formats.heif_steps import decoding_steps
from checker.pixels.formats.repair import repaired
from checker.pixels.formats.sniff import sniff
from checker.pixels.formats.tiff import Layout

# Markers, chunks, sub-blocks or strips: this number takes half a second. 25 MB of PNG in 8 KB chunks have
# 3 200.
_MAX_PARTS = 2**16
_MAX_JUNK_BYTES = 2**20
# Every scan of a progressive JPEG visits every coefficient of its colours. This limit takes 1.3 s, with
# arithmetic coding 3 s. Encoders write about 10 scans, which visit single colours 15 times in all.
_MAX_SCANNED_PIXELS = 2 * 10**9
# Run-length BMPs are decoded in Python, byte by byte: this limit takes two seconds.
_MAX_RLE_BMP_PIXELS = _MAX_RLE_BMP_BYTES = 4 * 10**6

# A phone's photo of 48 megapixels has 192 tiles and is turned once: 576 steps. This limit takes at most 4 s.
_MAX_DECODING_STEPS = 2**11

# In coded data 0xff is followed by 0 or a restart marker; a run of 0xff is padding.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SOF = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EOI, _SOS = 0xD9, 0xDA
_MAX_COLOURS = 4
_BARE_MARKERS = {0x01, 0xD8, _EOI}
_TIFF_STRIP_TAGS = {273, 279, 324, 325}
_TIFF_STRIP_BYTES, _TIFF_COMPRESSION, _UNCOMPRESSED = {279, 325}, 259, 1
_TIFF_SIZE, _TIFF_STRIPS, _JPEG_COMPRESSIONS = {256, 257}, {273, 324}, {6, 7}
# libtiff stops at the hundredth scan of a strip: 13 s for 64 megapixels.
_JPEG_SCAN = re.compile(rb"\xff\xda..([\x01-\x04])", re.DOTALL)
_TIFF_INTEGERS = {3: "H", 4: "I", 13: "I", 16: "Q"}
# Strips may share their bytes, as equal tiles do. But a blob that all share is decoded thousands of times.
_MAX_STRIP_BYTES_SHARE = 2
# Pillow joins the parts of EXIF one by one and copies all earlier parts each time; this limit takes 0.1 s.
# The largest known EXIF data, with maker notes, are 2 MB in 30 parts.
_MAX_EXIF_COPIED_BYTES = 2**28
_APP1, _EXIF = 0xE1, b"Exif\0\0"
# Pillow reads tables and Photoshop's resources one by one in Python; these limits take 0.1 s. Ordinary files
# have less than a kilobyte of tables and fewer than a hundred resources.
_TABLES = {0xC4, 0xDB}
_MAX_TABLE_BYTES = 2**20
_APP13, _RESOURCE, _MAX_RESOURCES = 0xED, b"8BIM", 2**16


def screened(data: bytes, max_pixels: int) -> bytes:
    """Return the file in a form that decoders accept; see ``repaired``.

    Raises:
        TakesTooLong: decoding the file would keep a processor busy.
        UnreadableImage: as ``repaired`` does.
        OSError: the file was cut off.
    """
    _refuse_slow(data)
    whole = repaired(data, max_pixels)
    if whole is not data:
        _refuse_slow(whole)  # another page of a TIFF, for example
    return whole


def _refuse_slow(data: bytes) -> None:
    if takes_too_long(data):
        raise TakesTooLong("Decoding this photo takes too long.")


def takes_too_long(data: bytes) -> bool:
    """Return True for a file that no ordinary encoder writes. Broken files pass: the decoder refuses them.

    Raises:
        OSError: the file is a TIFF that was cut off, which no decoder should try.
    """
    match sniff(data):
        case "JPEG":
            return _jpeg(data)
        case "PNG":
            return _png(data)
        case "GIF":
            return _gif(data)
        case "TIFF":
            return _tiff(data)
        case "BMP":
            return _bmp(data)
        case "HEIC" | "AVIF":
            return decoding_steps(data) > _MAX_DECODING_STEPS
    return False  # WebP is read by a C library with its own limits


def _jpeg(data: bytes) -> bool:
    position, parts, junk, scans, pixels = 2, 0, 0, 0, 0
    exif = copied = tables = resources = 0
    while match := _JPEG_MARKER.search(data, position):
        marker = data[match.start() + 1]
        if not scans:
            junk += match.start() - position
        position = match.end()
        parts += 1
        if marker == _EOI and scans:
            break  # other images or a phone's video may follow
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", data.ljust(position + 7, b"\0"), position + 3)
            pixels = max(pixels, width * height)
        if marker == _SOS:
            scans += min(max(1, data[position + 2] if position + 2 < len(data) else 1), _MAX_COLOURS)
        length = max(2, int.from_bytes(data[position : position + 2], "big"))
        if marker == _APP1 and data.startswith(_EXIF, position + 2):
            exif += length
            copied += exif
        if marker in _TABLES or marker in _SOF:
            tables += length
        if marker == _APP13:
            resources += data.count(_RESOURCE, position, position + length)
        if (
            parts > _MAX_PARTS
            or junk > _MAX_JUNK_BYTES
            or copied > _MAX_EXIF_COPIED_BYTES
            or tables > _MAX_TABLE_BYTES
            or resources > _MAX_RESOURCES
            or scans * pixels > _MAX_SCANNED_PIXELS
        ):
            return True
        if marker not in _BARE_MARKERS:
            position += length
    return False


def _png(data: bytes) -> bool:
    position, parts = 8, 0
    while position < len(data) and parts <= _MAX_PARTS:
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        parts += 1
    return parts > _MAX_PARTS


def _gif(data: bytes) -> bool:
    """Count blocks up to the first frame, whose own blocks are read in C."""
    flags = data[10] if len(data) > 10 else 0
    position, parts = 13 + (6 << (flags & 7) if flags & 0x80 else 0), 0
    while data[position : position + 1] == b"!" and parts <= _MAX_PARTS:
        position += 2
        while (size := int.from_bytes(data[position : position + 1], "big")) and parts <= _MAX_PARTS:
            position += 1 + size
            parts += 1
        position += 1
        parts += 1
    return parts > _MAX_PARTS


def _tiff(data: bytes) -> bool:
    """Count the strips of the first directory and their bytes; later directories are not decoded."""
    layout = Layout.of(data)
    starts: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    parts, strips, pixels, compression = 0, 1, 1, _UNCOMPRESSED
    try:
        count, entries, _ = layout.directory(data, layout.offset_at(data, layout.link_at))
        if count > _MAX_PARTS:
            return True
        for tag, kind, values, field in entries:
            if tag in _TIFF_STRIP_TAGS:
                parts += values
                if parts > 2 * _MAX_PARTS:  # each strip has a start and a size
                    return True
            if tag in _TIFF_STRIP_BYTES:
                sizes += _numbers(data, layout, kind, values, field)
            if tag == _TIFF_COMPRESSION and values == 1:
                compression = sum(_numbers(data, layout, kind, values, field))
            if tag in _TIFF_STRIPS:
                strips = max(1, values)
                starts += _numbers(data, layout, kind, values, field)
            if tag in _TIFF_SIZE and values == 1:
                pixels *= sum(_numbers(data, layout, kind, values, field))
    except struct.error:
        return False
    if compression in _JPEG_COMPRESSIONS:
        scans = sum(scan[1][0] for scan in _JPEG_SCAN.finditer(data))
        if scans * pixels > _MAX_SCANNED_PIXELS * strips:
            return True
    are_shared = compression != _UNCOMPRESSED and sum(sizes) > _MAX_STRIP_BYTES_SHARE * len(data)
    if are_shared and max(map(operator.add, starts, sizes), default=0) > len(data):
        raise OSError("image file is truncated")
    return are_shared


def _numbers(data: bytes, layout: Layout, kind: int, values: int, field: bytes) -> tuple[int, ...]:
    """Return the values of a TIFF field.

    Raises:
        struct.error: the values lie beyond the file's end.
    """
    codes = f"{layout.order}{values}{_TIFF_INTEGERS.get(kind, 'x')}"
    if struct.calcsize(codes) <= len(field):
        return struct.unpack_from(codes, field)
    return struct.unpack_from(codes, data, min(layout.offset_at(field, 0), len(data)))


def _bmp(data: bytes) -> bool:
    if len(data) < 34:
        return False
    header_bytes, width, height, _, _, compression = struct.unpack_from("<IiiHHI", data, 14)
    run_length = header_bytes >= 40 and compression in {1, 2}
    return run_length and (abs(width * height) > _MAX_RLE_BMP_PIXELS or len(data) > _MAX_RLE_BMP_BYTES)
