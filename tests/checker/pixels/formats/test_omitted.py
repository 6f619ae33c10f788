"""Colour, crop and orientation in a HEIC, AVIF or PNG are applied if they are stated for the photo itself."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from catloader.intake.prepare import Limits, prepare
from checker.pixels.renditions import site_renditions
from checker.values import Rendition
from tests.support.heif_files import crop, nclx, with_brands, with_properties

LIMITS = Limits(2**20, 10**6, 2560, 320, 88)
BT709, P3, BT2020 = 1, 12, 9
SRGB, PQ = 13, 16
RED, GREEN, BLUE, YELLOW = (200, 60, 60), (60, 180, 80), (60, 80, 200), (220, 200, 80)
RED_OF_P3 = (216, 43, 53)
"""Of ``RED`` in Display P3, as Chromium shows it."""
PQ_BYTES = b"colrnclx\x00\x09\x00\x10\x00\x09\x80"
XMP = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'


def quarters() -> Image.Image:
    drawing = Image.new("RGB", (96, 64), YELLOW)
    for colour, at in ((RED, (0, 0)), (GREEN, (48, 0)), (BLUE, (0, 32))):
        drawing.paste(colour, (*at, at[0] + 48, at[1] + 32))
    return drawing


def avif(**options: object) -> bytes:
    out = io.BytesIO()
    quarters().save(out, "AVIF", quality=95, subsampling="4:4:4", **options)
    return out.getvalue()


def heic(**options: object) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(quarters()).save(out, quality=95, chroma=444, **options)
    return out.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Encode the quarters with chunks before the pixels."""
    out = io.BytesIO()
    quarters().save(out, "PNG")
    data = out.getvalue()
    return data[:33] + b"".join(chunk(*parts) for parts in chunks) + data[33:]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def corners(data: bytes) -> list[tuple[int, ...]]:
    """Return the colours near the corners of the stored photo, after a comparison with the folder tool's."""
    photos = prepare(data, limits=LIMITS).photo, site_renditions(data)[Rendition.PHOTO]
    assert photos[0] == photos[1]
    pixels = np.asarray(Image.open(io.BytesIO(photos[0])))
    return [tuple(pixels[y, x].tolist()) for y in (4, -5) for x in (4, -5)]


def assert_corners(data: bytes, *expected: tuple[int, int, int], within: int = 6) -> None:
    assert np.abs(np.subtract(corners(data), expected)).max() <= within, corners(data)


either = pytest.mark.parametrize("encode", [avif, heic])
Encode = Callable[..., bytes]


@either
def test_the_colour_that_is_stated_for_the_photo_is_applied(encode: Encode) -> None:
    data = with_properties(encode(), nclx(P3, SRGB), colour=False)
    assert corners(data)[0] == pytest.approx(RED_OF_P3, abs=6)


@either
def test_the_colour_of_another_item_is_ignored(encode: Encode) -> None:
    """For example, a gain map may state PQ while the photo is in sRGB."""
    assert_corners(with_properties(encode(), first=(nclx(BT2020, PQ),)), RED, GREEN, BLUE, YELLOW)


@either
def test_a_colour_is_found_behind_the_pixels_and_large_metadata(encode: Encode) -> None:
    data = with_properties(encode(xmp=b"<x>" + bytes(2**17) + b"</x>"), nclx(P3, SRGB), colour=False)
    assert corners(data)[0] == pytest.approx(RED_OF_P3, abs=6)


@either
def test_bytes_in_metadata_are_not_a_colour(encode: Encode) -> None:
    data = with_properties(encode(xmp=b"<x>" + PQ_BYTES + b"</x>"), colour=False)
    assert_corners(data.replace(b"colrnclx\x00\x01", b"freenclx\x00\x01"), RED, GREEN, BLUE, YELLOW)


def test_bytes_in_a_png_are_not_a_colour() -> None:
    code_points = b"\0\0\0\4cICP" + bytes([BT2020, PQ, 0, 1])
    exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0" + code_points
    assert_corners(png((b"eXIf", exif)), RED, GREEN, BLUE, YELLOW, within=2)
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(quarters()))
    pixels = rows[:5000] + code_points + rows[5000 + len(code_points) :]
    data = png()[:33] + chunk(b"IDAT", zlib.compress(pixels, 0)) + chunk(b"IEND", b"")
    assert code_points in data
    assert_corners(data, RED, GREEN, BLUE, YELLOW, within=2)


def test_code_points_of_a_png_precede_its_profile() -> None:
    profile = (b"iCCP", b"x\0\0" + zlib.compress(_swapped_profile()))
    assert corners(png(profile))[0] != pytest.approx(RED, abs=30)
    assert_corners(png(profile, (b"cICP", bytes([BT709, SRGB, 0, 1]))), RED, GREEN, BLUE, YELLOW, within=2)
    unspecified = png(profile, (b"cICP", bytes([2, 2, 0, 1])))
    assert corners(unspecified) == corners(png(profile))


def _swapped_profile() -> bytes:
    """Return sRGB with the names of its red and blue primaries exchanged."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


@either
def test_a_crop_is_applied(encode: Encode) -> None:
    data = with_properties(encode(), crop(40, 24, -56, -40))
    assert_corners(data, RED, RED, RED, RED)
    data = with_properties(encode(), crop(48, 64, 0, 0), (b"irot", b"\1"))  # cropped, then turned to the left
    assert_corners(data, GREEN, YELLOW, RED, BLUE)


@pytest.mark.parametrize("box", [crop(400, 24, 0, 0), crop(0, 0, 0, 0), (b"clap", bytes(32))])
def test_an_impossible_crop_is_ignored(box: tuple[bytes, bytes]) -> None:
    assert_corners(with_properties(avif(), box), RED, GREEN, BLUE, YELLOW)


def test_the_orientation_of_an_avif_is_not_taken_from_its_xmp() -> None:
    assert_corners(avif(xmp=XMP), RED, GREEN, BLUE, YELLOW)


@pytest.mark.parametrize("major", [b"mif1", b"mif2", b"miaf", b"heif", b"MiHB", b"iso8", b"heic", b"avif"])
@either
def test_the_codec_decides_whatever_brand_comes_first(encode: Encode, major: bytes) -> None:
    brand = b"avif" if encode is avif else b"heic"
    for compatible in ((b"mif1", brand), (b"heic", b"avif"), (b"avif", b"heic")):
        assert_corners(with_brands(encode(), major, *compatible), RED, GREEN, BLUE, YELLOW)


def test_a_gif_is_white_around_a_first_frame_that_does_not_fill_it() -> None:
    out = io.BytesIO()
    quarters().quantize(16).save(out, "GIF", interlace=0)
    data = out.getvalue()
    frame = data.index(b"," + struct.pack("<HHHH", 0, 0, 96, 64))
    moved = data[: frame + 1] + struct.pack("<HH", 20, 30) + data[frame + 5 :]
    on_screen = moved[:6] + struct.pack("<HH", 116, 94) + moved[10:]
    white = (255, 255, 255)
    assert_corners(on_screen, white, white, white, YELLOW, within=12)


def test_a_cmyk_jpeg_without_adobes_marker_is_shown_as_browsers_show_it() -> None:
    """Browsers and Pillow treat the inks of every JPEG as inverted, with or without the marker."""
    out = io.BytesIO()
    quarters().convert("CMYK").save(out, "JPEG", quality=95)
    data = out.getvalue()
    marker = data.index(b"\xff\xee")
    without = data[:marker] + data[marker + 16 :]
    assert b"Adobe" not in without
    assert_corners(without, RED, GREEN, BLUE, YELLOW, within=8)
