"""Uploads that are refused: error class, sentence and time."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pillow_heif
import pytest
from PIL import Image

from catloader import errors
from catloader.intake.bombs import takes_too_long
from catloader.intake.formats import sniff
from catloader.intake.prepare import Limits, prepare
from tests.support.bombs import slow_tiff

LIMITS = Limits(max_bytes=25 * 2**20, max_pixels=10**8, max_edge_px=2560, thumbnail_px=320, jpeg_quality=88)
FORMATS = ("JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC", "TIFF", "BMP")


def encoded(format: str, size: tuple[int, int] = (320, 240), **options: object) -> bytes:
    noise = Image.effect_noise(size, 60).convert("RGB")
    out = io.BytesIO()
    if format == "HEIC":
        pillow_heif.from_pillow(noise).save(out, **options)
    else:
        noise.save(out, format, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def refusal(data: bytes, limits: Limits = LIMITS) -> errors.BadImage:
    with pytest.raises(errors.BadImage) as caught:
        prepare(data, limits=limits)
    sentence = str(caught.value)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\0" * 4096,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"RIFF\4\0\0\0WAVE",
        b"\xff\xd8",
    ],
)
def test_file_of_another_kind_is_refused(data: bytes) -> None:
    error = refusal(data)
    assert type(error) is errors.NotAnImage
    assert "JPEG" in str(error)


@pytest.mark.parametrize("brand", [b"jxl ", b"isom", b"qt  ", b"crx "])
def test_videos_in_the_same_container_are_not_accepted(brand: bytes) -> None:
    assert sniff(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"mp42") is None


@pytest.mark.parametrize(("compatible", "format"), [(b"avif", "AVIF"), (b"heic", "HEIC")])
def test_compatible_brand_decides_under_a_neutral_major_brand(compatible: bytes, format: str) -> None:
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0miaf" + compatible + b"avif") == format


def test_empty_file_is_refused() -> None:
    assert type(refusal(b"")) is errors.EmptyFile


def test_file_above_the_byte_limit_is_refused() -> None:
    data = encoded("JPEG")
    limits = Limits(len(data), 10**8, 2560, 320, 88)
    prepare(data, limits=limits)
    assert type(refusal(data + b"\0", limits)) is errors.TooManyBytes


@pytest.mark.parametrize("format", FORMATS)
def test_photo_above_the_pixel_limit_is_refused(format: str) -> None:
    data = encoded(format)
    prepare(data, limits=Limits(2**20, 320 * 240, 2560, 320, 88))
    error = refusal(data, Limits(2**20, 320 * 240 - 1, 2560, 320, 88))
    assert type(error) is errors.TooManyPixels
    assert str(error) == "This photo has 0.0768 megapixels; the limit is 0.0767."


@pytest.mark.parametrize("format", FORMATS)
def test_photo_below_eight_pixels_is_refused(format: str) -> None:
    prepare(encoded(format, (20, 8)), limits=LIMITS)
    for size in ((20, 7), (7, 20)):
        error = refusal(encoded(format, size))
        assert type(error) is errors.TooFewPixels
        width, height = size
        assert str(error) == f"This photo has {width} × {height} pixels. It needs at least 8 on each side."


def test_narrow_panorama_is_accepted() -> None:
    """Decoders scale a large JPEG down: its own size counts, not that of what they give."""
    assert prepare(encoded("JPEG", (8000, 8)), limits=LIMITS).height_px == 3


def test_pixels_are_counted_before_decoding() -> None:
    """30 000 x 30 000 from a few bytes: 2.7 GB decoded. The broken pixels are never read."""
    error = refusal(png(30_000, 30_000, chunk(b"IDAT", b"broken")))
    assert type(error) is errors.TooManyPixels
    assert str(error) == "This photo has 900 megapixels; the limit is 100."


def test_gif_frame_larger_than_its_screen_is_refused() -> None:
    data = bytearray(encoded("GIF", (8, 8)))
    frame = data.index(b",\0\0\0\0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    assert type(refusal(bytes(data))) is errors.TooManyPixels


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("format", FORMATS)
def test_truncated_file_is_refused(format: str, share: float) -> None:
    data = encoded(format)
    prepare(data, limits=LIMITS)
    error = refusal(data[: int(len(data) * share)])
    assert type(error) is errors.BrokenImage
    assert format in str(error)


def test_png_with_missing_or_broken_pixels_is_refused() -> None:
    data = encoded("PNG")
    assert type(refusal(data[:-17])) is errors.BrokenImage
    assert type(refusal(data[:-20] + b"\0" + data[-19:])) is errors.BrokenImage


def test_png_with_a_text_bomb_is_refused() -> None:
    """Text that decompresses to 60 MB, in two chunks above the limit of 16 MB."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30 * 2**20)))
    assert type(refusal(png(1, 1, text, text, chunk(b"IDAT", zlib.compress(bytes(4)))))) is errors.BrokenImage


# Files whose decoding keeps a processor busy; the times were measured without the check.


def jpeg_of_markers() -> bytes:  # 8 s
    data = encoded("JPEG")
    return data[:2] + b"\xff\xfe\0\2" * 5_000_000 + data[2:]


def jpeg_of_junk() -> bytes:  # 2 s
    data = encoded("JPEG")
    return data[:2] + b"\xff\xfe\0\2" + bytes(20_000_000) + data[2:]


def jpeg_of_scans() -> bytes:  # more than a minute, from 0.6 MB
    out = io.BytesIO()
    Image.new("L", (8000, 8000)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last_scan * 3000 + data[-2:]


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


SLOW = (
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


@pytest.mark.timeout(10)
@pytest.mark.parametrize("build", SLOW, ids=lambda build: build.__name__)
def test_file_that_takes_too_long_to_decode_is_refused_soon(build: Callable[[], bytes]) -> None:
    error = refusal(build())
    assert type(error) is errors.BrokenImage
    assert "too long" in str(error)


@pytest.mark.parametrize(("order", "big"), [(">", False), ("<", True), (">", True)])
def test_every_tiff_layout_is_checked(order: str, big: bool) -> None:
    assert takes_too_long(tiff_of_strips(order, big), "TIFF")


def test_exif_of_ordinary_size_passes() -> None:
    data = encoded("JPEG")
    part = b"Exif\0\0" + bytes(65_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part
    prepare(data[:2] + segment * 32 + data[2:], limits=LIMITS)  # 2 MB


def test_equal_strips_may_share_their_bytes() -> None:
    """Three strips share their bytes, with or without other data in the file; uncompressed ones are free."""
    assert not takes_too_long(slow_tiff(strips=3, blocks=2_000).ljust(40_000, b"\0"), "TIFF")
    assert takes_too_long(slow_tiff(strips=3, blocks=2_000), "TIFF")
    uncompressed = slow_tiff().replace(struct.pack("<HHII", 259, 3, 1, 8), struct.pack("<HHII", 259, 3, 1, 1))
    assert not takes_too_long(uncompressed, "TIFF")


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_lzw", "packbits", "jpeg", "group4"])
def test_compressed_tiffs_pass(compression: str) -> None:
    out = io.BytesIO()
    image = Image.effect_noise((600, 400), 60).convert("1" if compression == "group4" else "RGB")
    image.save(out, "TIFF", compression=compression)
    assert not takes_too_long(out.getvalue(), "TIFF")


def test_files_of_ordinary_encoders_pass() -> None:
    assert not takes_too_long(encoded("JPEG", (1500, 1000), progressive=True), "JPEG")
    video = b"\xff\xda\0\2" * 30_000  # whose bytes may look like scans
    phone = encoded("JPEG") + encoded("JPEG") + video
    assert not takes_too_long(phone, "JPEG")
    for format in FORMATS:
        assert not takes_too_long(encoded(format), format)


def test_bigtiff_with_an_offset_far_beyond_its_end_is_refused() -> None:
    for offset in (2**40, 2**63, 2**64 - 1):
        data = struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset)
        assert not takes_too_long(data, "TIFF")
        assert type(refusal(data)) is errors.BrokenImage


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_bytes_never_make_the_check_fail(format: str) -> None:
    data = encoded(format, (16, 16))
    for end in range(len(data)):
        assert not takes_too_long(data[:end], format)
