"""What becomes of pictures: formats, orientation, size, metadata."""

from __future__ import annotations

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from catloader.intake.prepare import Limits, Prepared, prepare

LIMITS = Limits(max_bytes=2**20, max_pixels=10**6, max_edge_px=256, thumbnail_px=64, jpeg_quality=88)
RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 30), (30, 30, 200), (255, 255, 255)
FORMATS = ("JPEG", "PNG", "GIF", "WebP", "AVIF", "HEIC", "TIFF", "BMP")
ORIENTATION, MAKE, GPS = 0x0112, 0x010F, 0x8825


def quarters(width: int = 120, height: int = 80) -> Image.Image:
    """Red and green above blue and white."""
    picture = Image.new("RGB", (width, height), WHITE)
    for colour, at in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2))):
        picture.paste(colour, (*at, at[0] + width // 2, at[1] + height // 2))
    return picture


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    if format == "HEIC":
        pillow_heif.from_pillow(picture).save(out, quality=95, **options)
    else:
        picture.save(out, format, **options)
    return out.getvalue()


def decoded(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def corners(jpeg: bytes) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters."""
    pixels = decoded(jpeg)
    ys, xs = ([side // 4, side * 3 // 4] for side in pixels.shape[:2])
    return [tuple(int(c) for c in pixels[y, x]) for y in ys for x in xs]


def assert_colours(jpeg: bytes, *expected: tuple[int, int, int], within: int = 12) -> None:
    assert np.abs(np.subtract(corners(jpeg), expected)).max() <= within, corners(jpeg)


def segments(jpeg: bytes) -> list[bytes]:
    """The marker segments before the pixels."""
    found, at = [], 2
    while jpeg[at + 1] != 0xDA:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append(jpeg[at + 1 : at + 2 + size])
        at += 2 + size
    return found


@pytest.mark.parametrize("format", FORMATS)
def test_content_decides_the_format(format: str) -> None:
    prepared = prepare(encoded(quarters(), format), limits=LIMITS)
    assert prepared.source_format == format
    assert (prepared.width_px, prepared.height_px) == (120, 80)
    assert_colours(prepared.photo, RED, GREEN, BLUE, WHITE)
    assert_colours(prepared.thumbnail, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WebP", "AVIF"])
def test_the_first_frame_counts(format: str) -> None:
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
def test_upright(format: str, orientation: int, expected: tuple[tuple[int, int, int], ...]) -> None:
    """EXIF turns, and AVIF's and HEIC's own rotation, each exactly once."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    prepared = prepare(encoded(quarters(), format, exif=exif.tobytes()), limits=LIMITS)
    upright = (120, 80) if orientation < 5 else (80, 120)
    assert (prepared.width_px, prepared.height_px) == upright
    assert_colours(prepared.photo, *expected)


def test_metadata_stays_behind() -> None:
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
        plain_jfif = b"\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"  # no resolution, no preview
        assert [part for part in segments(jpeg) if part[0] >= 0xE0] == [plain_jfif]


@pytest.mark.parametrize("format", ["GIF", "PNG"])
def test_comments_stay_behind(format: str) -> None:
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
        + b"\xff" * 8,  # one entry of 65 535, and absurd
        b"Exif\0\0no TIFF at all",
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP"])
def test_broken_metadata_of_a_good_picture_is_no_matter(exif: bytes, format: str) -> None:
    assert prepare(encoded(quarters(), format, exif=exif), limits=LIMITS).width_px == 120


def test_only_the_decoders_are_hushed() -> None:
    prepare(encoded(quarters(), "PNG"), limits=LIMITS)
    with pytest.raises(UserWarning, match="somebody else"):
        warnings.warn("somebody else's", stacklevel=1)


def test_threads_do_not_disturb_each_other() -> None:
    files = [encoded(quarters(300, 200), format) for format in FORMATS]
    expected = [prepare(data, limits=LIMITS) for data in files]
    start = threading.Barrier(4)

    def work(_: int) -> list[Prepared]:
        start.wait()
        return [prepare(data, limits=LIMITS) for data in files]

    with ThreadPoolExecutor(4) as pool:
        assert all(got == expected for got in pool.map(work, range(4)))
