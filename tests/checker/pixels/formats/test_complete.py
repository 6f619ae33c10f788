"""Photos whose pixels end early although the file ends in a valid way are refused."""

from __future__ import annotations

import io
import time
import zlib

import numpy as np
import pytest
import simplejpeg
import skimage.data
from PIL import Image

from catloader import errors
from catloader.intake.prepare import Limits, prepare
from checker.errors import UnreadableImage
from checker.pixels.formats import complete
from checker.pixels.renditions import site_renditions
from tests.support.bombs import arithmetic_jpeg
from tests.support.hostile.core_containers import (
    png_chunk,
    png_chunks,
    png_file,
    png_header,
    png_interlaced,
    png_rows,
)

LIMITS = Limits(2**20, 10**6, 2560, 320, 88)
SIZE_PX = (96, 64)
COFFEE = Image.fromarray(skimage.data.coffee()).resize(SIZE_PX)  # type: ignore[no-untyped-call]


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    COFFEE.convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def png(
    colour_type: int, *, depth: int = 8, interlaced: bool = False, missing: int = 0, rows_px: int = SIZE_PX[1]
) -> bytes:
    """Encode COFFEE without the last ``missing`` bytes of its rows, in a stream that ends in a valid way."""
    mode = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}[colour_type]
    image = COFFEE.quantize(64) if mode == "P" else COFFEE.convert(mode)
    samples = np.asarray(image).reshape(SIZE_PX[1], SIZE_PX[0], -1)[:rows_px]
    if depth == 16:
        samples = samples.astype(np.uint16) * 257
    rows = zlib.decompress((png_interlaced if interlaced else png_rows)(samples, depth))
    palette = [png_chunk(b"PLTE", bytes(image.getpalette() or []))] if mode == "P" else []
    pixels = png_chunk(b"IDAT", zlib.compress(rows[: len(rows) - missing]))
    return png_file(
        png_header(SIZE_PX[0], rows_px, depth, colour_type, interlaced=int(interlaced)), *palette, pixels
    )


def assert_accepted(data: bytes) -> None:
    prepare(data, limits=LIMITS)
    site_renditions(data)


def assert_refused(data: bytes, reason: str = "truncated") -> None:
    with pytest.raises(errors.BrokenImage):
        prepare(data, limits=LIMITS)
    with pytest.raises(UnreadableImage, match=reason):
        site_renditions(data)


@pytest.mark.parametrize(
    ("colour_type", "depth"), [(0, 8), (0, 16), (2, 8), (2, 16), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]
)
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_that_lacks_rows_is_refused(colour_type: int, depth: int, interlaced: bool) -> None:
    row_bytes = 1 + SIZE_PX[0] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type] * depth // 8
    assert_accepted(png(colour_type, depth=depth, interlaced=interlaced))
    for missing in (row_bytes, 20 * row_bytes):
        assert_refused(png(colour_type, depth=depth, interlaced=interlaced, missing=missing))


def test_interlaced_png_whose_last_pass_lacks_a_row_is_refused() -> None:
    """The last pass writes every second row; of 63 rows, the last row belongs to earlier passes."""
    assert_accepted(png(2, interlaced=True, rows_px=63))
    assert_refused(png(2, interlaced=True, rows_px=63, missing=1 + 3 * SIZE_PX[0]))


@pytest.mark.parametrize("chunks", [1, 3, 200])
def test_wrong_checksum_of_all_pixels_of_a_png_is_ignored(chunks: int) -> None:
    """The checksums of the chunks are right; browsers ignore the checksum of the whole zlib stream."""
    header, *others = png_chunks(png(2))
    (pixels,) = (content for name, content in others if name == b"IDAT")
    wrong = pixels[:-4] + bytes(byte ^ 0xFF for byte in pixels[-4:])
    step = -(-len(wrong) // chunks)
    parts = [png_chunk(b"IDAT", wrong[at : at + step]) for at in range(0, len(wrong), step)]
    turned = png_chunk(b"eXIf", b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")
    hdr = png_chunk(b"cICP", bytes([9, 16, 0, 1]))
    data = png_file(png_chunk(*header), hdr, turned, *parts)
    sound = png_file(png_chunk(*header), hdr, turned, png_chunk(b"IDAT", pixels))
    assert prepare(data, limits=LIMITS).photo == prepare(sound, limits=LIMITS).photo
    assert site_renditions(data) == site_renditions(sound)


def test_broken_pixels_of_a_png_are_refused() -> None:
    (_, header), *others = png_chunks(png(2))
    (pixels,) = (content for name, content in others if name == b"IDAT")
    for at in range(100, len(pixels) - 100, 997):
        broken = pixels[:at] + bytes(40) + pixels[at + 40 :]
        assert_refused(png_file(png_chunk(b"IHDR", header), png_chunk(b"IDAT", broken)), "decoded")


def test_black_png_is_accepted() -> None:
    for size in ((1, 1), (1, 9), (5, 3), SIZE_PX):
        for mode in ("1", "L", "RGB", "RGBA", "I;16"):
            out = io.BytesIO()
            Image.new(mode, size).save(out, "PNG")
            assert_accepted(out.getvalue())
        for depth in (1, 2, 4, 8):
            samples = np.zeros((size[1], size[0], 1), np.uint8)
            pixels = png_chunk(b"IDAT", png_interlaced(samples, depth))
            assert_accepted(png_file(png_header(*size, depth, 0, interlaced=1), pixels))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_blocks": 5}])
def test_jpeg_that_lacks_blocks_before_its_end_marker_is_refused(
    mode: str, options: dict[str, object]
) -> None:
    data = jpeg(mode, **options)
    assert_accepted(data)
    for kept in (0.5, 0.9):
        assert_refused(data[: int(len(data) * kept)] + b"\xff\xd9")


def test_large_jpeg_that_lacks_blocks_is_refused_at_a_smaller_scale() -> None:
    out = io.BytesIO()
    COFFEE.resize((2400, 1600)).save(out, "JPEG")
    with pytest.raises(UnreadableImage, match="truncated"):
        site_renditions(out.getvalue()[:-5000] + b"\xff\xd9")


def test_grey_photo_is_taken() -> None:
    for colour, mode in ((128, "L"), ((128, 128, 128), "RGB"), ((127, 127, 127, 127), "CMYK")):
        out = io.BytesIO()
        Image.new(mode, SIZE_PX, colour).save(out, "JPEG")
        assert_accepted(out.getvalue())


def test_progressive_jpeg_that_shows_the_whole_photo_is_taken() -> None:
    data = jpeg(progressive=True)
    assert_accepted(data[: data.rindex(b"\xff\xda")] + b"\xff\xd9")


def test_arithmetic_coding_is_not_decoded_a_second_time() -> None:
    """It takes up to 3 s, and libjpeg does not report what is missing."""
    data, times_s = arithmetic_jpeg(colours=1, scans=31, side_px=1000), []
    for look in (complete._ends_early, lambda data: simplejpeg.decode_jpeg(data, "GRAY")):
        begun_s = time.process_time()
        look(data)
        times_s.append(time.process_time() - begun_s)
    assert times_s[0] < times_s[1] / 4


def test_without_simplejpeg_a_jpeg_that_lacks_blocks_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "simplejpeg", None)
    data = jpeg()
    assert_accepted(data[: len(data) // 2] + b"\xff\xd9")
