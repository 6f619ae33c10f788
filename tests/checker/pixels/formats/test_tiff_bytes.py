"""TIFFs with more than 8 bits a sample are read in every byte codec, with predictors, in planes and tiles."""

from __future__ import annotations

import io
import struct
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image

from catloader.errors import NotAnImage
from catloader.intake.prepare import Limits, prepare
from checker.pixels.formats.tiff_samples import with_plain_samples
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

Order = Literal["<", ">"]
ORDERS: tuple[Order, ...] = ("<", ">")
LIMITS = Limits(2**22, 10**6, 2560, 320, 95)
Y, X = np.mgrid[0:70, 0:80]
COLOUR = np.stack([X * 3, Y * 3, 255 - X * 3], axis=-1).astype(np.uint8)
GREY = np.repeat(COLOUR[..., :1], 3, axis=2)
WIDE = COLOUR.astype(np.uint16) * 257
CODECS = {"tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773, "zstd": 50000}
_ROWS, _TILE = 32, 48


def _predicted(rows: np.ndarray, predictor: int, order: Order) -> bytes:
    """Return rows ``(H, W, samples)`` as bytes."""
    size, samples = rows.dtype.itemsize, rows.shape[2]
    if predictor == 2:
        whole = rows.view(f"u{size}").copy()
        whole[:, 1:] -= rows.view(f"u{size}")[:, :-1]
        return whole.astype(whole.dtype.newbyteorder(order)).tobytes()
    if predictor == 3:
        in_bytes = rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8).reshape(len(rows), -1, size)
        planes = in_bytes.transpose(0, 2, 1).reshape(len(rows), -1)
        differences = planes.copy()
        differences[:, samples:] -= planes[:, :-samples]
        return differences.tobytes()
    return rows.astype(rows.dtype.newbyteorder(order)).tobytes()


def _compressed(content: bytes, rows: int, codec: str) -> bytes:
    """Compress bytes with libtiff, as one strip of an 8-bit image."""
    out = io.BytesIO()
    Image.frombytes("L", (len(content) // rows, rows), content).save(out, "TIFF", compression=codec)
    with tifffile.TiffFile(io.BytesIO(out.getvalue())) as file:
        page: Any = file.pages[0]
        (start,), (size,) = page.dataoffsets, page.databytecounts
    return out.getvalue()[start : start + size]


def compressed_tiff(
    values: np.ndarray,
    codec: str,
    *,
    predictor: int = 1,
    planes: bool = False,
    tiled: bool = False,
    order: Order = "<",
) -> bytes:
    height, width, samples = values.shape
    segments = []
    for part in np.split(values, samples, axis=2) if planes else [values]:
        for top, left in product(
            range(0, height, _TILE if tiled else _ROWS), range(0, width, _TILE) if tiled else [0]
        ):
            segment = part[top : top + (_TILE if tiled else _ROWS), left : left + (_TILE if tiled else width)]
            if tiled:
                missing = [(0, _TILE - size) for size in segment.shape[:2]]
                segment = np.pad(segment, [*missing, (0, 0)])
            content = _predicted(np.ascontiguousarray(segment), predictor, order)
            segments.append(_compressed(content, len(segment), codec))
    offsets = np.cumsum([8, *map(len, segments)])
    lists = {
        258: [values.dtype.itemsize * 8] * samples,
        259: [CODECS[codec]],
        262: [2 if samples == 3 else 1],
        277: [samples],
        284: [2 if planes else 1],
        317: [predictor],
        339: [{"u": 1, "f": 3}[values.dtype.kind]] * samples,
    }
    longs = {256: [width], 257: [height]}
    places = {324: offsets[:-1].tolist(), 325: [len(one) for one in segments]}
    longs |= (
        {322: [_TILE], 323: [_TILE], **places}
        if tiled
        else {278: [_ROWS], 273: places[324], 279: places[325]}
    )
    start = int(offsets[-1])
    entries, extra = b"", b""
    extra_at = start + 2 + 12 * (len(lists) + len(longs)) + 4
    for tag in sorted([*lists, *longs]):
        kind, numbers = (3, lists[tag]) if tag in lists else (4, longs[tag])
        content = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(content) > 4:
            content, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + content
        entries += struct.pack(f"{order}HHI4s", tag, kind, len(numbers), content)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    count = struct.pack(f"{order}H", len(lists) + len(longs))
    return head + b"".join(segments) + count + entries + bytes(4) + extra


def assert_shown(data: bytes, expected: np.ndarray) -> None:
    for photo in (prepare(data, limits=LIMITS).photo, site_renditions(data)[Rendition.PHOTO]):
        pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"), np.int16)
        assert np.abs(pixels - expected).mean() < 2


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize(("planes", "tiled"), [(False, False), (True, False), (False, True), (True, True)])
def test_sixteen_bits_are_read_in_every_codec_and_layout(
    codec: str, predictor: int, planes: bool, tiled: bool
) -> None:
    for order in ORDERS:
        layout: dict[str, Any] = {"predictor": predictor, "planes": planes, "tiled": tiled, "order": order}
        assert_shown(compressed_tiff(WIDE, codec, **layout), COLOUR)
        assert_shown(compressed_tiff(WIDE >> 4, codec, **layout), COLOUR)


@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floats_are_read_with_their_predictor(codec: str, kind: str) -> None:
    for order, predictor, tiled in product(ORDERS, (1, 3), (False, True)):
        data = compressed_tiff(
            (COLOUR / 255).astype(kind), codec, predictor=predictor, tiled=tiled, order=order
        )
        assert_shown(data, COLOUR)
        data = compressed_tiff((GREY[..., :1] / 255).astype(kind), codec, predictor=predictor, order=order)
        assert_shown(data, GREY)


@pytest.mark.slow
def test_more_bytes_than_pillows_limit_of_pixels_are_read() -> None:
    out = io.BytesIO()
    Image.new("F", (6800, 6800), 0.5).save(out, "TIFF", compression="tiff_adobe_deflate")
    with Image.open(io.BytesIO(with_plain_samples(out.getvalue(), 64_000_000))) as image:
        assert (image.mode, image.size, image.getpixel((0, 0))) == ("L", (6800, 6800), 128)


def test_a_broken_strip_is_refused() -> None:
    data = bytearray(compressed_tiff(WIDE, "tiff_lzw", planes=True))
    data[20:400] = bytes(380)
    with pytest.raises(NotAnImage, match="stores its colours in a way that can't be read"):
        prepare(bytes(data), limits=LIMITS)


def test_tiles_that_claim_far_more_than_the_image_are_refused() -> None:
    data = compressed_tiff(WIDE, "tiff_lzw", planes=True, tiled=True)
    claimed = data.replace(struct.pack("<HHII", 322, 4, 1, _TILE), struct.pack("<HHII", 322, 4, 1, 2**30))
    assert claimed != data
    with pytest.raises(NotAnImage, match="stores its colours"):
        prepare(claimed, limits=LIMITS)
