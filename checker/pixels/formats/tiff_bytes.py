"""Read samples of any width from a TIFF's strips or tiles, which the libtiff in Pillow decompresses.

Pillow reads few sample widths, and tifffile needs packages of 40 MB for most codecs. But libtiff decompresses
bytes: it decompresses the same strips correctly if they are described as a wider 8-bit grey image.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin

from checker.pixels.colour.eight_bit import Samples

CODECS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""Codecs that work on bytes only: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard."""
MAX_BYTES = 512 * 2**20
"""Limit for the decoded samples; 64 megapixels of 16-bit RGB take 384 MB."""
_NO_PREDICTOR, _DIFFERENCES, _FLOAT_DIFFERENCES = 1, 2, 3
_SEPARATE = 2
_MOST_PACKED_BITS, _MOST_PACKED_SAMPLES = 16, 2**27
"""Limits for packed samples: 2**27 samples, or 44 megapixels of colour, take 3.5 s."""
_ROWS = 8
_SHORT, _LONG = 3, 4


class _Bytes(TiffImagePlugin.TiffImageFile):
    """A TIFF without Pillow's pixel limit, which would count bytes here; ``MAX_BYTES`` is checked earlier."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.core.new(self.mode, self._tile_size)  # type: ignore[attr-defined]
        ImageFile.ImageFile.load_prepare(self)


def samples_of(page: Any, data: bytes) -> Samples:
    """Read the samples of a page of tifffile, ``(H, W, samples)``.

    Raises:
        ValueError, OSError: strips are missing or broken, or use another codec or predictor.
    """
    if page.compression not in CODECS or page.dtype is None:
        raise ValueError("no codec of bytes")
    height, width, count = page.imagelength, page.imagewidth, page.samplesperpixel
    if is_packed(page) and height * width * count > _MOST_PACKED_SAMPLES:
        raise ValueError("packed samples that would take too long")
    planes = count if page.planarconfig == _SEPARATE else 1
    per_pixel = count // planes
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(segments) % planes:
        raise ValueError("strips are missing")
    each = len(segments) // planes
    result = np.empty((height, width, count), page.dtype)
    for plane in range(planes):
        parts = [data[start : start + size] for start, size in segments[plane * each : (plane + 1) * each]]
        raw = _decompressed(page, parts, per_pixel)
        values = _unpacked(raw, page, per_pixel) if is_packed(page) else _undone(raw, page, per_pixel)
        result[..., plane * per_pixel : (plane + 1) * per_pixel] = values[:height, :width]
    return result


def is_packed(page: Any) -> bool:
    """Return True for samples that do not end at byte boundaries."""
    return bool(page.bitspersample % 8)


def _decompressed(page: Any, parts: list[bytes], per_pixel: int) -> npt.NDArray[np.uint8]:
    """Return uint8 ``(rows, tiles per row, bytes per row of a tile)``; a strip counts as one tile."""
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    row_bytes = (per_pixel * page.bitspersample * columns + 7) // 8
    across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
    down = -(-page.imagelength // page.tilelength) if page.is_tiled else 0
    rows = down * page.tilelength if page.is_tiled else page.imagelength
    if rows * across * row_bytes > MAX_BYTES:
        raise ValueError("tiles that are far larger than the image")
    described = {
        256: (_LONG, [row_bytes * across]),
        257: (_LONG, [rows]),
        258: (_SHORT, [8]),
        259: (_SHORT, [int(page.compression)]),
        262: (_SHORT, [1]),
        266: (_SHORT, [int(page.fillorder)]),
        277: (_SHORT, [1]),
    }
    if page.is_tiled:
        described |= {322: (_LONG, [row_bytes]), 323: (_LONG, [page.tilelength])}
    else:
        described[278] = (_LONG, [min(page.rowsperstrip, rows)])
    file = _tiff(described, (324, 325) if page.is_tiled else (273, 279), parts)
    image = _Bytes(io.BytesIO(file))
    return np.asarray(image).reshape(rows, across, row_bytes)


def _unpacked(raw: npt.NDArray[np.uint8], page: Any, per_pixel: int) -> Samples:
    """Unpack each tile's rows; return ``(rows, columns, per_pixel)``."""
    if page.predictor != _NO_PREDICTOR or page.bitspersample > _MOST_PACKED_BITS:
        raise ValueError("packed samples with a predictor, or of more than 16 bits")
    rows, across, row_bytes = raw.shape
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    per_row, bits = columns * per_pixel, page.bitspersample
    groups = -(-per_row // 8)  # eight samples fill as many bytes as one sample has bits
    values = np.empty((rows, across, per_row), page.dtype)
    for row in range(0, rows, _ROWS):  # in bands: the temporary arrays take several times the space
        band = np.zeros((len(raw[row : row + _ROWS]), across, groups * bits + 2), np.uint32)
        band[..., :row_bytes] = raw[row : row + _ROWS]
        for place in range(min(8, per_row)):
            first, offset = divmod(place * bits, 8)
            start, middle, end = (band[..., first + i :: bits][..., :groups] for i in range(3))
            samples = (start << 16 | middle << 8 | end) >> (24 - offset - bits) & (1 << bits) - 1
            band_values = values[row : row + _ROWS, :, place::8]
            band_values[...] = samples[..., : band_values.shape[2]]
    return values.reshape(rows, across * columns, per_pixel)


def _undone(raw: npt.NDArray[np.uint8], page: Any, per_pixel: int) -> Samples:
    """Undo the predictor of each tile's rows; return ``(rows, columns, per_pixel)``."""
    rows, across, row_bytes = raw.shape
    size = page.dtype.itemsize
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    columns = row_bytes // (per_pixel * size)
    if page.predictor == _FLOAT_DIFFERENCES:
        by_byte = raw.reshape(rows, across, -1, per_pixel).cumsum(axis=2, dtype=np.uint8)
        by_sample = by_byte.reshape(rows, across, size, -1).swapaxes(2, 3)
        values: Samples = np.ascontiguousarray(by_sample).view(page.dtype.newbyteorder(">"))
    elif page.predictor == _DIFFERENCES:
        unsigned = np.dtype(f"u{size}").newbyteorder(page.parent.byteorder)
        differences = raw.view(unsigned).reshape(rows, across, columns, per_pixel)
        values = differences.cumsum(axis=2, dtype=f"u{size}").view(page.dtype)
    elif page.predictor == _NO_PREDICTOR:
        values = raw.view(dtype)
    else:
        raise ValueError("an unknown predictor")
    return values.reshape(rows, across * columns, per_pixel)


def _tiff(described: dict[int, tuple[int, list[int]]], tags: tuple[int, int], parts: list[bytes]) -> bytes:
    """Write a little-endian TIFF of one page around compressed parts."""
    entries = len(described) + 2
    lists_at = 8 + 2 + 12 * entries + 4
    first = lists_at + 8 * len(parts)
    sizes = [len(part) for part in parts]
    offsets = [first + end - size for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True)]
    described = described | {tags[0]: (_LONG, offsets), tags[1]: (_LONG, sizes)}
    directory, lists = b"", b""
    for tag, (kind, values) in sorted(described.items()):
        content = struct.pack(f"<{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        if len(content) > 4:
            content, lists = struct.pack("<I", lists_at + len(lists)), lists + content
        directory += struct.pack("<HHI4s", tag, kind, len(values), content)
    lists = lists.ljust(first - lists_at, b"\0")
    head = struct.pack("<2sHIH", b"II", 42, 8, entries)
    return b"".join([head, directory, bytes(4), lists, *parts])
