"""Every colour model becomes 8-bit sRGB on white."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from checker.pixels import renditions
from checker.pixels.formats.opening import open_image
from checker.pixels.sizes import RenditionSizes

SIZES = RenditionSizes(max_edge_px=256, thumbnail_px=64, jpeg_quality=95)
SRGB = ImageCms.createProfile("sRGB")


def colour_of(drawing: Image.Image, format: str, **options: object) -> tuple[int, ...]:
    """Return the colour in the middle of the stored photo."""
    out = io.BytesIO()
    drawing.save(out, format, **options)
    with open_image(out.getvalue()) as image:
        image.load()
        encoded = renditions.encode(renditions.upright_photo(image, SIZES, fast=False), SIZES)
    with Image.open(io.BytesIO(encoded.photo), formats=["JPEG"]) as photo:
        assert photo.mode == "RGB"
        colour = photo.getpixel((photo.width // 2, photo.height // 2))
    assert isinstance(colour, tuple)
    return tuple(int(channel) for channel in colour)


def flat(mode: str, value: float | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (32, 32), value)


@pytest.mark.parametrize(
    ("drawing", "format", "expected"),
    [
        (flat("1", 1), "PNG", (255, 255, 255)),
        (flat("L", 90), "JPEG", (90, 90, 90)),
        (flat("LA", (0, 128)), "PNG", (127, 127, 127)),
        (flat("RGBA", (200, 0, 0, 0)), "PNG", (255, 255, 255)),
        (flat("RGBA", (200, 0, 0, 128)), "WebP", (227, 127, 127)),
        (flat("RGB", (10, 120, 230)).quantize(8), "GIF", (10, 120, 230)),
        (flat("I;16", 256 * 100), "PNG", (100, 100, 100)),
        (flat("I;16", 256 * 10), "PNG", (10, 10, 10)),
        (flat("CMYK", (255, 0, 0, 0)), "JPEG", (0, 255, 255)),  # Pillow writes Adobe's inverted form
        (flat("CMYK", (0, 0, 255, 51)), "TIFF", (204, 204, 0)),
        (flat("LAB", (137, 128, 128)), "TIFF", (128, 128, 128)),
        (flat("LAB", (137, 208, 195)), "TIFF", (250, 5, 12)),
        (flat("YCbCr", (100, 128, 128)), "JPEG", (100, 100, 100)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_mode_keeps_its_colour(drawing: Image.Image, format: str, expected: tuple[int, ...]) -> None:
    assert np.abs(np.subtract(colour_of(drawing, format), expected)).max() <= 4


def test_transparent_palette_entry_is_white() -> None:
    drawing = flat("RGB", (10, 120, 230)).quantize(8)
    index = drawing.getpixel((0, 0))
    assert colour_of(drawing, "GIF", transparency=index) == (255, 255, 255)
    assert colour_of(drawing, "PNG", transparency=index) == (255, 255, 255)


@pytest.mark.parametrize(
    ("brightest", "value", "expected"),
    [
        (255, 128, 128),  # 8 bits in a 16-bit field
        (4095, 2048, 128),  # 12 bits, as from a sensor
        (65535, 32768, 128),
        (40000, 32768, 128),  # dark, but clearly 16 bits
    ],
)
def test_16_bit_tiff_is_stretched_only_when_its_top_bits_are_unused(
    brightest: int, value: int, expected: int
) -> None:
    values = np.full((32, 32), value, np.uint16)
    values[0, 0] = brightest
    assert abs(colour_of(Image.fromarray(values), "TIFF")[0] - expected) <= 4


@pytest.mark.parametrize(
    ("brightest", "value", "expected"), [(1.0, 0.5, 128), (200.0, 64.0, 64), (1e6, 5e5, 128)]
)
def test_float_tiff_is_scaled_by_its_brightest_pixel(brightest: float, value: float, expected: int) -> None:
    values = np.full((200, 32), value, np.float32)
    values[0, :3] = brightest, np.nan, -np.inf
    assert abs(colour_of(Image.fromarray(values), "TIFF")[0] - expected) <= 4


def test_tiff_without_any_light_is_black() -> None:
    for value in (0.0, np.nan, -5.0):
        assert colour_of(Image.fromarray(np.full((32, 32), value, np.float32)), "TIFF") == (0, 0, 0)


def swapped_profile(name: bytes) -> bytes:
    """Make a profile in which red is sRGB's green, and green is its red."""
    profile = ImageCms.ImageCmsProfile(SRGB).tobytes()
    places = {}
    for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        places[profile[at : at + 4]] = profile[at + 4 : at + 12]
        places[profile[at : at + 4] + b"?"] = at.to_bytes(4, "big")
    swapped = bytearray(profile)
    for tag, other in ((b"rXYZ", b"gXYZ"), (b"gXYZ", b"rXYZ")):
        at = int.from_bytes(places[tag + b"?"], "big")
        swapped[at + 4 : at + 12] = places[other]
    return bytes(swapped).replace("sRGB".encode("utf-16-be"), name.decode().encode("utf-16-be"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WebP", "AVIF"])
def test_wide_profile_is_converted(format: str) -> None:
    red = flat("RGB", (220, 0, 0))
    assert colour_of(red, format, icc_profile=swapped_profile(b"Wide"))[1] > 200
    assert colour_of(red, format, icc_profile=ImageCms.ImageCmsProfile(SRGB).tobytes())[0] > 200


def test_profile_of_a_transparent_photo_is_converted() -> None:
    half = flat("RGBA", (255, 0, 0, 128))
    red, green, blue = colour_of(half, "PNG", icc_profile=swapped_profile(b"Wide"))
    assert green > 250
    assert abs(red - 127) < 5
    assert abs(blue - 127) < 5


def test_a_linear_profile_called_srgb_is_converted() -> None:
    """The name begins like that of sRGB; the curve differs."""
    linear = bytearray(ImageCms.ImageCmsProfile(SRGB).tobytes())
    count = int.from_bytes(linear[128:132], "big")
    for at in range(132, 132 + 12 * count, 12):
        if bytes(linear[at : at + 4]) in (b"rTRC", b"gTRC", b"bTRC"):
            curve = int.from_bytes(linear[at + 4 : at + 8], "big")
            linear[curve : curve + 16] = b"para" + bytes(8) + (65536).to_bytes(4, "big")  # gamma 1.0
    assert colour_of(flat("RGB", (55, 55, 55)), "PNG", icc_profile=bytes(linear)) == pytest.approx(
        (127, 127, 127), abs=3
    )


def linear_grey_profile() -> bytes:
    """Make the smallest profile of greys that littleCMS reads."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # D50, in 1/65536
    tags = {b"wtpt": white, b"kTRC": b"curv" + bytes(8), b"desc": b"desc" + bytes(7) + b"\1" + bytes(80)}
    at, table, contents = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(contents), len(content))
        contents += content
    head = struct.pack(">I4sI4s4s4s", at + len(contents), b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + white[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + contents


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        (flat("L", 55), (127,) * 3),
        (flat("LA", (55, 255)), (127,) * 3),
        (flat("RGB", (220, 0, 0)), (220, 0, 0)),
    ],
    ids=["grey", "grey with transparency", "another colour model"],
)
def test_profile_of_greys_is_converted(drawing: Image.Image, expected: tuple[int, ...]) -> None:
    assert colour_of(drawing, "PNG", icc_profile=linear_grey_profile()) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("profile", [b"", b"nonsense", b"\0" * 4096, swapped_profile(b"Wide")[:300]])
def test_broken_profile_is_ignored(profile: bytes) -> None:
    assert colour_of(flat("RGB", (220, 0, 0)), "JPEG", icc_profile=profile)[0] > 200


def test_profile_of_another_colour_model_is_ignored() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert colour_of(flat("RGB", (220, 0, 0)), "JPEG", icc_profile=lab)[0] > 200
