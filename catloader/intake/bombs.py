"""A walk over a file's skeleton before a decoder sees it.

Its header bounds how much memory a picture takes, but not how long: a megabyte of empty progressive scans
keeps libjpeg busy for minutes, and Pillow walks chunks, markers and strips one by one in Python.
"""

from __future__ import annotations

import re
import struct

# Markers, chunks, sub-blocks, strips: this many take half a second. 25 MB of PNG in 8 KB chunks are 3 200.
_MAX_PARTS = 2**16
_MAX_JUNK_BYTES = 2**20
# Every scan of a progressive JPEG visits every coefficient; this is 1.3 s. Encoders write about 10 scans.
_MAX_SCANNED_PIXELS = 2 * 10**9
# Run-length BMPs are decoded in Python, byte by byte: two seconds at most.
_MAX_RLE_BMP_PIXELS = _MAX_RLE_BMP_BYTES = 4 * 10**6

# In coded data 0xff is followed by 0 or a restart marker; a run of 0xff is padding.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SOF = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EOI, _SOS = 0xD9, 0xDA
_BARE_MARKERS = {0x01, 0xD8, _EOI}
_TIFF_STRIP_TAGS = {273, 279, 324, 325}


def takes_too_long(data: bytes, source_format: str) -> bool:
    """Whether no honest encoder builds files like this one. Broken ones pass: the decoder refuses them."""
    match source_format:
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
    return False  # WebP, AVIF and HEIC are read by C libraries that count for themselves


def _jpeg(data: bytes) -> bool:
    at, parts, junk, scans, pixels = 2, 0, 0, 0, 0
    while found := _JPEG_MARKER.search(data, at):
        marker = data[found.start() + 1]
        if not scans:
            junk += found.start() - at
        at = found.end()
        parts += 1
        if marker == _EOI and scans:
            break  # what follows belongs to other pictures or to a phone's video
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", data.ljust(at + 7, b"\0"), at + 3)
            pixels = max(pixels, width * height)
        scans += marker == _SOS
        if parts > _MAX_PARTS or junk > _MAX_JUNK_BYTES or scans * pixels > _MAX_SCANNED_PIXELS:
            return True
        if marker not in _BARE_MARKERS:
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return False


def _png(data: bytes) -> bool:
    at, parts = 8, 0
    while at < len(data) and parts <= _MAX_PARTS:
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        parts += 1
    return parts > _MAX_PARTS


def _gif(data: bytes) -> bool:
    """Up to the first picture: its blocks are read in C."""
    flags = data[10] if len(data) > 10 else 0
    at, parts = 13 + (6 << (flags & 7) if flags & 0x80 else 0), 0
    while data[at : at + 1] == b"!" and parts <= _MAX_PARTS:
        at += 2
        while (size := int.from_bytes(data[at : at + 1], "big")) and parts <= _MAX_PARTS:
            at += 1 + size
            parts += 1
        at += 1
        parts += 1
    return parts > _MAX_PARTS


def _tiff(data: bytes) -> bool:
    """Only the first directory: no later one is read."""
    order = "<" if data.startswith(b"II") else ">"
    big = b"+" in data[2:4]
    offset_at, offset, count, entry = (8, "Q", "Q", "HHQ8x") if big else (4, "I", "H", "HHI4x")
    try:
        (at,) = struct.unpack_from(order + offset, data, offset_at)
        (entries,) = struct.unpack_from(order + count, data, at)
        if entries > _MAX_PARTS:
            return True
        at += struct.calcsize(order + count)
        end = at + entries * struct.calcsize(order + entry)
        tags = struct.iter_unpack(order + entry, data[at:end])
        return any(tag in _TIFF_STRIP_TAGS and values > _MAX_PARTS for tag, _, values in tags)
    except struct.error:
        return False


def _bmp(data: bytes) -> bool:
    if len(data) < 34:
        return False
    header_bytes, width, height, _, _, compression = struct.unpack_from("<IiiHHI", data, 14)
    run_length = header_bytes >= 40 and compression in {1, 2}
    return run_length and (abs(width * height) > _MAX_RLE_BMP_PIXELS or len(data) > _MAX_RLE_BMP_BYTES)
