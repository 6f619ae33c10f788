"""Files with a faulty container and complete pixels are read; files with missing pixels are refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
import skimage.data
from PIL import Image, PngImagePlugin

from catloader.errors import NotAnImage
from catloader.intake.prepare import Limits, prepare
from checker.errors import UnreadableImage
from checker.pixels.formats import repair
from checker.pixels.formats.opening import MAX_PIXELS
from checker.pixels.formats.repair import repaired
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

COFFEE = Image.fromarray(skimage.data.coffee()).resize((240, 160))  # type: ignore[no-untyped-call]


def encoded(format: str, image: Image.Image = COFFEE, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def photo(data: bytes) -> bytes:
    return site_renditions(data)[Rendition.PHOTO]


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image, dtype=int)


def png_with_text(text: str, key: str = "Comment") -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, text, zip=True)
    return encoded("PNG", pnginfo=info)


def with_wrong_checksum(data: bytes, name: bytes) -> bytes:
    start = data.index(name)
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    return data[:end] + bytes(byte ^ 0xFF for byte in data[end : end + 4]) + data[end + 4 :]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_intact_file_is_returned_unchanged(form: str) -> None:
    data = encoded(form)
    assert repaired(data, MAX_PIXELS) is data


@pytest.mark.parametrize("name", [b"iTXt", b"pHYs", b"gAMA"])
def test_wrong_checksum_of_an_ancillary_png_chunk_is_ignored(name: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", "A cat")
    info.add(b"gAMA", struct.pack(">I", 45455))
    data = encoded("PNG", pnginfo=info, dpi=(300, 300))
    assert photo(with_wrong_checksum(data, name)) == photo(data)


def test_wrong_checksum_behind_the_pixels_of_a_png_is_ignored() -> None:
    data = encoded("PNG")
    chunk = struct.pack(">I", 4) + b"tEXt" + b"a\0bc" + bytes(4)
    assert repaired(data[:-12] + chunk + data[-12:], MAX_PIXELS) == data


def test_wrong_checksum_of_a_critical_png_chunk_is_refused() -> None:
    palette = encoded("PNG", COFFEE.quantize(16))
    for data in (with_wrong_checksum(palette, b"PLTE"), with_wrong_checksum(palette, b"IHDR")):
        assert repaired(data, MAX_PIXELS) is data
        with pytest.raises(UnreadableImage):
            photo(data)


@pytest.mark.parametrize("key", ["Comment", "XML:com.adobe.xmp"])
def test_png_with_megabytes_of_compressed_text_is_read(key: str) -> None:
    assert photo(png_with_text("cat " * 10**6, key)) == photo(encoded("PNG"))


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"subsampling": 0, "restart_marker_blocks": 4}),
        ("L", {}),
        ("CMYK", {}),
    ],
)
def test_jpeg_without_its_end_marker_is_read(mode: str, options: dict[str, Any], missing: int) -> None:
    data = encoded("JPEG", COFFEE.convert(mode), **options)
    assert photo(data[:-missing]) == photo(data)


def test_large_jpeg_without_its_end_marker_is_read_at_a_smaller_scale() -> None:
    data = encoded("JPEG", COFFEE.resize((2400, 1600)))
    assert photo(data[:-2]) == photo(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("rest", [b"\n", b"\r\n\r\n", b"\r\n--boundary\r\n"])
def test_line_ends_in_place_of_the_end_marker_change_no_pixel(options: dict[str, Any], rest: bytes) -> None:
    data = encoded("JPEG", **options)
    assert photo(data[:-2] + rest) == photo(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_that_lacks_even_one_byte_of_its_pixels_is_refused(options: dict[str, Any]) -> None:
    data = encoded("JPEG", **options)[:-2]
    for missing in [*range(1, 40), *range(40, len(data) - 20, 97)]:
        with pytest.raises(UnreadableImage):
            photo(data[:-missing])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100, "progressive": True}])
def test_zeros_in_place_of_the_end_marker_change_no_pixel(options: dict[str, Any]) -> None:
    for height in range(100, 110):  # some scans end with 0xff, and a zero of their own
        data = encoded("JPEG", COFFEE.resize((150, height)), **options)
        assert photo(data[:-2] + bytes(512)) == photo(data)


def test_zeros_do_not_replace_lost_pixels_of_a_progressive_jpeg() -> None:
    data = encoded("JPEG", progressive=True)[:-2]
    for missing in range(1, 40):
        with pytest.raises(UnreadableImage):
            photo(data[:-missing] + bytes(512))


ODD_WEBP = encoded("WEBP", xmp=b"12345")
"""Its last chunk has an odd length, and a byte that pads it."""


@pytest.mark.parametrize("announced", [0, 10**6, 2**32 - 9])
def test_webp_that_announces_a_wrong_size_is_read(announced: int) -> None:
    for data in (ODD_WEBP, encoded("WEBP")):
        assert photo(data[:4] + struct.pack("<I", announced) + data[8:]) == photo(data)


def test_only_padding_may_be_missing_at_the_end_of_a_webp() -> None:
    assert photo(ODD_WEBP[:-1]) == photo(ODD_WEBP)
    for cut in (ODD_WEBP[:-2], encoded("WEBP")[:-1]):
        assert repaired(cut, MAX_PIXELS) is cut
        with pytest.raises(UnreadableImage):
            photo(cut)


def test_an_animation_is_white_around_a_first_frame_that_does_not_fill_it() -> None:
    frame = encoded("WEBP", Image.new("RGB", (32, 16), (200, 40, 90)))[12:]
    for flags, profile in ((0x02, b""), (0x12, b""), (0x02, b"ICCP\x05\0\0\0ANMF!\0")):
        parts = (
            b"VP8X" + struct.pack("<IIHBHB", 10, flags, 63, 0, 47, 0),
            profile,
            b"ANIM" + struct.pack("<IIH", 6, 0, 0),
            b"ANMF" + struct.pack("<I", 16 + len(frame)),
            bytes([8, 0, 0, 8, 0, 0, 31, 0, 0, 15, 0, 0, 100, 0, 0, 0]),
            frame,
        )
        content = b"WEBP" + b"".join(parts)
        shown = pixels(photo(b"RIFF" + struct.pack("<I", len(content)) + content))
        assert shown.shape[:2] == (48, 64)
        assert np.abs(shown[24, 32] - (200, 40, 90)).max() < 12
        assert (shown[[0, 0, 47, 47], [0, 63, 0, 63]] >= 253).all()


def test_webp_of_endless_chunks_is_returned_soon() -> None:
    data = b"RIFF\0\0\0\0WEBPVP8 " + bytes(4) + b"JUNK\0\0\0\0" * 200_000
    assert repaired(data, MAX_PIXELS) is data


def test_progressive_jpeg_cut_between_two_scans_is_refused() -> None:
    data = encoded("JPEG", progressive=True)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for scan in scans[1:]:
        tables = data.rfind(b"\xff\xc4", 0, scan)  # each scan has its own
        for end in (tables, scan):
            with pytest.raises(UnreadableImage):
                photo(data[:end])


def test_jpeg_above_the_pixel_limit_is_not_decoded_for_its_end_marker() -> None:
    data = encoded("JPEG")[:-2]
    assert repaired(data, 240 * 160) == data + b"\xff\xd9"
    assert repaired(data, 240 * 160 - 1) is data


def test_without_simplejpeg_a_jpeg_without_its_end_marker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "simplejpeg", None)
    with pytest.raises(UnreadableImage):
        photo(encoded("JPEG")[:-2])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_no_bytes_make_the_repair_fail(form: str) -> None:
    data = encoded(form, COFFEE.resize((16, 12)))
    rng, changed = np.random.default_rng(4), 0
    for end in range(len(data)):
        noisy = bytearray(data)
        for place in rng.integers(0, len(data), 8):
            noisy[place] = rng.integers(256)
        for broken in (data[:end], bytes(noisy)):
            with contextlib.suppress(UnreadableImage):  # a TIFF with samples that no decoder reads
                changed += repaired(broken, MAX_PIXELS) != broken
    assert changed > 0


def test_png_of_endless_chunks_is_returned_soon() -> None:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in [(b"IHDR", header), *[(b"teSt", b"")] * 200_000]
    )
    assert repaired(data, MAX_PIXELS) is data


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize(
    "content",
    [(0xE0, b"JFIF\0\1"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe\0"), (0xEE, b"Adobe"), (0xE1, b"")],
)
def test_jpeg_segment_that_is_too_short_is_ignored(content: tuple[int, bytes]) -> None:
    data = encoded("JPEG")
    extended = data[:2] + segment(0xFE, b"before") + segment(*content) + data[2:]
    assert photo(extended) == photo(data)
    assert photo(extended[:-2]) == photo(data)


@pytest.mark.parametrize("prefix", [b"", segment(0xFE, b"before")])
def test_exif_data_with_another_padding_turn_the_photo(prefix: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded("JPEG", exif=exif)
    assert data.count(b"Exif\0\0") == 1
    padded = data[:2] + prefix + data[2:].replace(b"Exif\0\0", b"Exif\0\xff")
    assert pixels(photo(padded)).shape == (240, 160, 3)
    assert photo(padded) == photo(data) == prepare(padded, limits=Limits(2**20, 10**6, 2560, 640, 88)).photo


@pytest.mark.parametrize(
    ("frame", "bits"),
    [(0xC1, 12), (0xC3, 16), (0xC5, 8), (0xCB, 8), (0xF7, 8)],
    ids=lambda value: f"{value:x}",
)
def test_a_jpeg_in_a_coding_that_nothing_here_reads_is_not_called_damaged(frame: int, bits: int) -> None:
    data = encoded("JPEG")
    start = data.index(b"\xff\xc0")
    rare = (
        data[:start] + bytes([0xFF, frame]) + data[start + 2 : start + 4] + bytes([bits]) + data[start + 5 :]
    )
    with pytest.raises(UnreadableImage, match=r"^This JPEG has a rare encoding .* Save it as"):
        photo(rare)
    with pytest.raises(NotAnImage, match=r"^This JPEG has a rare encoding"):
        prepare(rare, limits=Limits(2**20, 10**6, 2560, 320, 88))


def test_the_reason_of_a_decoder_is_one_line() -> None:
    pillow_heif.register_heif_opener()
    with pytest.raises(UnreadableImage, match=r"file bounds") as caught:
        photo(encoded("HEIF")[:-1])
    assert "\n" not in str(caught.value)
