"""Uploaded files become stored photos: format, orientation, size, metadata."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from catloader import errors
from catloader.intake.prepare import Limits, Prepared, prepare
from checker.pixels.formats.sniff import sniff
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

LIMITS = Limits(max_bytes=2**20, max_pixels=10**6, max_edge_px=256, thumbnail_px=64, jpeg_quality=88)
RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 30), (30, 30, 200), (255, 255, 255)
FORMATS = ("JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC", "TIFF", "BMP")
ORIENTATION, MAKE, GPS = 0x0112, 0x010F, 0x8825


def quarters(width: int = 120, height: int = 80) -> Image.Image:
    """Draw four quarters: red and green above blue and white."""
    drawing = Image.new("RGB", (width, height), WHITE)
    for colour, at in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2))):
        drawing.paste(colour, (*at, at[0] + width // 2, at[1] + height // 2))
    return drawing


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    if format == "HEIC":
        pillow_heif.from_pillow(image).save(out, quality=95, **options)
    else:
        image.save(out, format, **options)
    return out.getvalue()


def decoded(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def corners(jpeg: bytes) -> list[tuple[int, ...]]:
    """Return the colours of the centres of the four quarters."""
    pixels = decoded(jpeg)
    ys, xs = ([side // 4, side * 3 // 4] for side in pixels.shape[:2])
    return [tuple(int(c) for c in pixels[y, x]) for y in ys for x in xs]


def assert_colours(jpeg: bytes, *expected: tuple[int, int, int], within: int = 12) -> None:
    assert np.abs(np.subtract(corners(jpeg), expected)).max() <= within, corners(jpeg)


def segments(jpeg: bytes) -> list[bytes]:
    """Return the marker segments before the pixels."""
    parts, start = [], 2
    while jpeg[start + 1] != 0xDA:
        size = int.from_bytes(jpeg[start + 2 : start + 4], "big")
        parts.append(jpeg[start + 1 : start + 2 + size])
        start += 2 + size
    return parts


@pytest.mark.parametrize("format", FORMATS)
def test_content_decides_the_format(format: str) -> None:
    file = encoded(quarters(), format)
    assert sniff(file) == format
    prepared = prepare(file, limits=LIMITS)
    assert (prepared.width_px, prepared.height_px) == (120, 80)
    assert_colours(prepared.photo, RED, GREEN, BLUE, WHITE)
    assert_colours(prepared.thumbnail, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WebP", "AVIF"])
def test_the_first_frame_of_an_animation_is_stored(format: str) -> None:
    second = Image.new("RGB", (120, 80), "black")
    data = encoded(quarters(), format, save_all=True, append_images=[second])
    assert_colours(prepare(data, limits=LIMITS).photo, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, (RED, GREEN, BLUE, WHITE)),
        (2, (GREEN, RED, WHITE, BLUE)),
        (3, (WHITE, BLUE, GREEN, RED)),
        (4, (BLUE, WHITE, RED, GREEN)),
        (5, (RED, BLUE, GREEN, WHITE)),
        (6, (BLUE, RED, WHITE, GREEN)),
        (7, (WHITE, GREEN, BLUE, RED)),
        (8, (GREEN, WHITE, RED, BLUE)),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP", "AVIF", "HEIC", "TIFF"])
def test_photo_is_turned_upright(
    format: str, orientation: int, expected: tuple[tuple[int, int, int], ...]
) -> None:
    """The orientation of EXIF and the rotation inside AVIF and HEIC must be applied exactly once."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    prepared = prepare(encoded(quarters(), format, exif=exif.tobytes()), limits=LIMITS)
    upright = (120, 80) if orientation < 5 else (80, 120)
    assert (prepared.width_px, prepared.height_px) == upright
    assert_colours(prepared.photo, *expected)


def test_metadata_is_removed() -> None:
    exif = Image.Exif()
    exif[MAKE] = "SECRET maker"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 17.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(
        quarters(),
        "JPEG",
        exif=exif,
        comment=b"SECRET",
        xmp=b"<x>SECRET</x>",
        icc_profile=profile,
        dpi=(7, 7),
    )
    photoshop = b"\xff\xed\x00\x1cPhotoshop 3.0\x008BIMSECRET\x00\x00"
    prepared = prepare(data[:2] + photoshop + data[2:] + b"SECRET trailer", limits=LIMITS)
    for jpeg in (prepared.photo, prepared.thumbnail):
        assert b"SECRET" not in jpeg
        # A JFIF header without resolution and preview.
        plain_jfif = b"\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
        assert [part for part in segments(jpeg) if part[0] >= 0xE0] == [plain_jfif]


@pytest.mark.parametrize("format", ["GIF", "PNG"])
def test_comments_are_removed(format: str) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET")
    options: dict[str, object] = {"pnginfo": text} if format == "PNG" else {"comment": b"SECRET"}
    data = encoded(quarters(), format, **options)
    assert b"SECRET" in data
    assert b"SECRET" not in prepare(data, limits=LIMITS).photo


@pytest.mark.parametrize(
    ("size", "stored"),
    [
        ((1000, 500), (256, 128)),
        ((90, 900), (26, 256)),
        ((256, 256), (256, 256)),
        ((3, 2), (3, 2)),
        ((1, 800), (1, 256)),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_longest_edge_is_bounded(format: str, size: tuple[int, int], stored: tuple[int, int]) -> None:
    prepared = prepare(encoded(quarters(*size), format), limits=LIMITS)
    assert (prepared.width_px, prepared.height_px) == stored
    assert decoded(prepared.photo).shape == (stored[1], stored[0], 3)


def test_thumbnail_is_the_crop_of_the_stored_photo() -> None:
    ramp = np.tile(np.linspace(0, 255, 600, dtype=np.uint8), (300, 1))
    prepared = prepare(encoded(Image.fromarray(ramp), "PNG"), limits=LIMITS)
    left, top, side = prepared.crop
    assert (left, top, side) == (64, 0, 128)
    assert decoded(prepared.thumbnail).shape == (64, 64, 3)
    crop = decoded(prepared.photo)[top : top + side, left : left + side].astype(int)
    halved = crop.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halved - decoded(prepared.thumbnail)).max() < 8


def test_nothing_is_scaled_up() -> None:
    prepared = prepare(encoded(quarters(40, 30), "PNG"), limits=LIMITS)
    assert (prepared.width_px, prepared.thumbnail_px, prepared.crop) == (40, 30, (5, 0, 30))
    assert decoded(prepared.thumbnail).shape == (30, 30, 3)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
        + b"\x12\x01\x03\0"
        + b"\xff" * 8,  # a directory that claims 65 535 entries; the first one is absurd
        b"Exif\0\0no TIFF at all",
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP"])
def test_broken_metadata_is_ignored(exif: bytes, format: str) -> None:
    assert prepare(encoded(quarters(), format, exif=exif), limits=LIMITS).width_px == 120


def test_only_warnings_of_decoders_are_silenced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(encoded(quarters(), "PNG"), limits=LIMITS)
        with pytest.raises(UserWarning, match="another module"):
            warnings.warn("another module's", stacklevel=1)


def test_concurrent_calls_give_the_same_results() -> None:
    files = [encoded(quarters(300, 200), format) for format in FORMATS]
    expected = [prepare(data, limits=LIMITS) for data in files]
    start = threading.Barrier(4)

    def work(_: int) -> list[Prepared]:
        start.wait()
        return [prepare(data, limits=LIMITS) for data in files]

    with ThreadPoolExecutor(4) as pool:
        assert all(result == expected for result in pool.map(work, range(4)))


def sensor_data(mode: str, scale: float) -> Image.Image:
    """Draw a gradient in more than 8 bits."""
    ramp = np.linspace(0, 1, 300 * 200).reshape(200, 300) * scale
    return Image.fromarray(ramp.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))


def translucent(mode: str) -> Image.Image:
    drawing = quarters(300, 200).convert("RGBA")
    drawing.putalpha(Image.linear_gradient("L").resize(drawing.size))
    return drawing.convert(mode)


WIDE = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


@pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(encoded(quarters(300, 200), format), id=format) for format in FORMATS),
        pytest.param(encoded(sensor_data("I;16", 4095), "TIFF"), id="12 bits in 16"),
        pytest.param(encoded(sensor_data("I;16", 4095), "PNG"), id="dark PNG of 16 bits"),
        pytest.param(encoded(sensor_data("I", 10**6), "TIFF"), id="32 bits"),
        pytest.param(encoded(sensor_data("F", 1), "TIFF"), id="floats"),
        pytest.param(encoded(translucent("RGBA"), "PNG"), id="RGBA"),
        pytest.param(encoded(translucent("LA"), "PNG"), id="LA"),
        pytest.param(encoded(translucent("RGBA"), "PNG", icc_profile=WIDE), id="RGBA with a profile"),
        pytest.param(encoded(quarters(300, 200).convert("CMYK"), "JPEG"), id="CMYK"),
        pytest.param(encoded(quarters(300, 200).convert("1"), "PNG"), id="one bit"),
        pytest.param(encoded(quarters(300, 200).quantize(4), "PNG"), id="palette"),
        pytest.param(encoded(quarters(2500, 100), "PNG"), id="elongated"),
    ],
)
def test_folder_tool_makes_the_same_bytes_as_the_site(data: bytes) -> None:
    limits = Limits(2**20, 10**6, 2560, 320, 88)
    prepared = prepare(data, limits=limits)
    assert site_renditions(data) == {
        Rendition.PHOTO: prepared.photo,
        Rendition.THUMBNAIL: prepared.thumbnail,
    }


def test_raw_photo_is_refused_with_advice() -> None:
    data = encoded(quarters(), "TIFF").replace(
        struct.pack("<HHIHH", 262, 3, 1, 2, 0), struct.pack("<HHIHH", 262, 3, 1, 32803, 0)
    )
    for raw in (data, b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(100)):
        with pytest.raises(errors.NotAnImage) as caught:
            prepare(raw, limits=LIMITS)
        assert str(caught.value) == "This is a raw photo. Save it as JPEG and try again."


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (b"\xff\x0a\xfa\x7f", "The format JPEG XL can't"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "The format JPEG XL can't"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "The format JPEG 2000 can't"),
        (b"\xff\x4f\xff\x51", "The format JPEG 2000 can't"),
        (b"8BPS\0\1", "The format Photoshop can't"),
        (b"\r\n%PDF-1.7", "The format PDF can't"),
        (b"<svg xmlns=''>", "The format SVG can't"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<!DOCTYPE svg>\n<svg>", "The format SVG can't"),
        (b"\0\0\1\0\1\0\x20\x20", "The format ICO can't"),
        (bytes(128) + b"DICM", "The format DICOM can't"),
        (b"\n<!-- saved -->\n<!DOCTYPE html>", "a web page, not a photo"),
        (b"<HTML><head>", "a web page, not a photo"),
        (b"PK\3\4", "This is an archive"),
        (bytes(257) + b"ustar", "This is an archive"),
        (b"\0\0\0\x18ftypmp42", "This is a video"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "This is a video"),
        (b"\x1aE\xdf\xa3", "This is a video"),
        (b"RIFF\0\0\0\0AVI ", "This is a video"),
        (b"G" + bytes(187) + b"G", "This is a video"),
        (b"<?xml version='1.0'?><plist/>", "not a photo that CatLoader can read"),
        (b"any bytes", "not a photo that CatLoader can read"),
    ],
)
def test_other_file_is_refused_by_the_name_of_its_kind(start: bytes, sentence: str) -> None:
    with pytest.raises(errors.NotAnImage) as caught:
        prepare(start + bytes(500), limits=LIMITS)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "shown"), [(25 * 2**20, "25 MB"), (3 * 2**19, "1.5 MB"), (200_000, "195 kB"), (1, "1 kB")]
)
def test_limit_is_shown_in_a_suitable_unit(limit: int, shown: str) -> None:
    with pytest.raises(errors.TooManyBytes) as caught:
        prepare(bytes(limit + 1), limits=Limits(limit, 1, 1, 1, 88))
    assert str(caught.value) == f"This file is larger than {shown}."
