"""HDR photos, and wide gamut without a profile, are stored in the colours of an HDR screen."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from catloader.intake.prepare import Limits, prepare
from checker.pixels.formats.omitted import add_omitted
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

LIMITS = Limits(2**20, 10**6, 2560, 320, 92)
BT709, BT2020, P3 = 1, 9, 12
LINEAR, SRGB, PQ, HLG = 8, 13, 16, 18
TO_BT2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))  # ITU-R BT.2087
COLOURS = [(200, 40, 40), (40, 160, 60), (50, 70, 190), (120, 120, 120), (210, 180, 90), (10, 10, 10)]


def signal(srgb: tuple[int, int, int], transfer: int) -> tuple[int, ...]:
    """Encode a colour in BT.2020, with diffuse white at 203 nits, as 16 bits."""
    coded = np.array(srgb) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    light = np.maximum(np.array(TO_BT2020) @ linear, 0)
    if transfer == PQ:
        root = (light * 203 / 10_000) ** (2610 / 16384)
        value = ((3424 / 4096 + 2413 / 128 * root) / (1 + 2392 / 128 * root)) ** (2523 / 32)
    else:
        scene = (light * 203 / 1000) ** (1 / 1.2)
        log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        value = np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)
    return tuple(int(channel) for channel in np.round(value * 65535))


def heic(colour: tuple[int, ...], primaries: int, transfer: int) -> bytes:
    """Encode a flat photo of a 16-bit colour in 10 bits."""
    pixels = np.broadcast_to(np.array(colour, "<u2"), (64, 96, 3))
    photo = pillow_heif.from_bytes("RGB;16", (96, 64), pixels.tobytes())
    out = io.BytesIO()
    photo.save(
        out,
        quality=95,
        chroma=444,
        save_nclx_profile=True,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=9,
        full_range_flag=1,
    )
    return out.getvalue()


def png(colour: tuple[int, int, int], primaries: int, transfer: int) -> bytes:
    """Encode a flat photo with a cICP chunk."""
    return png_with(colour, cICP=bytes([primaries, transfer, 0, 1]))


def png_with(colour: tuple[int, int, int], **chunks: bytes) -> bytes:
    """Encode a flat photo with further chunks."""
    out = io.BytesIO()
    Image.new("RGB", (96, 64), colour).save(out, "PNG")
    data = out.getvalue()
    added = b""
    for name, content in chunks.items():
        body = name.encode() + content
        added += struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + added + data[33:]  # after IHDR


def stored_colours(data: bytes) -> list[tuple[int, ...]]:
    """Return the colour in the site's stored photo, and the one in the folder tool's."""
    photos = prepare(data, limits=LIMITS).photo, site_renditions(data)[Rendition.PHOTO]
    return [tuple(np.asarray(Image.open(io.BytesIO(photo)))[32, 48].tolist()) for photo in photos]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_an_hdr_heic_is_stored_in_its_colours(transfer: int, colour: tuple[int, int, int]) -> None:
    for stored in stored_colours(heic(signal(colour, transfer), BT2020, transfer)):
        assert np.abs(np.subtract(stored, colour)).max() <= 10


def test_an_hdr_png_is_stored_in_its_colours() -> None:
    coded = tuple(round(channel / 257) for channel in signal((200, 40, 40), PQ))
    for stored in stored_colours(png((coded[0], coded[1], coded[2]), BT2020, PQ)):
        assert np.abs(np.subtract(stored, (200, 40, 40))).max() <= 10


def test_an_hdr_png_in_16_bits_of_grey_is_shown_like_one_in_colour() -> None:
    photos = []
    for image in (
        Image.new("RGB", (16, 16), (120,) * 3),
        Image.fromarray(np.full((16, 16), 120 * 257, np.uint16)),
    ):
        out = io.BytesIO()
        image.save(out, "PNG")
        body = b"cICP" + bytes([9, 16, 0, 1])
        chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
        data = out.getvalue()[:33] + chunk + out.getvalue()[33:]
        with Image.open(io.BytesIO(site_renditions(data)[Rendition.PHOTO])) as photo:
            photos.append(np.asarray(photo.convert("L"), int))
    assert np.abs(photos[0] - photos[1]).max() <= 2
    assert np.abs(photos[0] - 120).min() > 20


def test_highlights_keep_their_order() -> None:
    bright = [stored_colours(heic((value,) * 3, BT2020, PQ))[0][0] for value in (38_000, 42_000, 50_000)]
    assert 200 < bright[0] < bright[1] < bright[2] <= 255


def test_wide_gamut_without_a_profile_is_converted() -> None:
    red, green, _ = stored_colours(png((200, 100, 100), P3, SRGB))[0]
    assert red > 205
    assert green < 100


@pytest.mark.parametrize(("transfer", "gamma"), [(LINEAR, 1.0), (5, 2.8)], ids=["linear", "BT.470 BG"])
def test_a_stated_exponent_is_applied(transfer: int, gamma: float) -> None:
    coded = np.array((200, 40, 120)) / 255
    light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    red, green, blue = (round(float(channel) * 255) for channel in light ** (1 / gamma))
    for stored in stored_colours(png((red, green, blue), BT709, transfer)):
        assert np.abs(np.subtract(stored, (200, 40, 120))).max() <= 8


def test_the_older_exponent_of_a_png_is_ignored() -> None:
    for stored in stored_colours(png_with((200, 40, 120), gAMA=struct.pack(">I", 100_000))):
        assert np.abs(np.subtract(stored, (200, 40, 120))).max() <= 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        png((1, 2, 3), BT709, SRGB),
        png((1, 2, 3), BT709, SRGB)[:45],
        b"0000ftypheic" + b"colrnclx",
    ],
)
def test_files_without_such_colour_are_not_changed(data: bytes) -> None:
    image = Image.new("RGB", (1, 1))
    add_omitted(image, data)
    assert not image.info
