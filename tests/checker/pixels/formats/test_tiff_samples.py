"""TIFFs of every sample layout are stored in their colours; unreadable ones are refused in a sentence."""

from __future__ import annotations

import io
import struct
import sys
import time
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from catloader.errors import BrokenImage, NotAnImage
from catloader.intake.prepare import Limits, prepare
from checker.errors import UnreadableImage
from checker.pixels.formats.tiff_samples import with_plain_samples
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

LIMITS = Limits(2**22, 10**6, 2560, 320, 95)
DEFLATE = 8
Y, X = np.mgrid[0:60, 0:80]
COLOUR = np.stack([X * 3, Y * 4, 255 - X * 3], axis=-1).astype(np.uint8)
GREY = COLOUR[..., 0]
WIDE = COLOUR.astype(np.uint16) * 257
INKS = np.concatenate([65535 - WIDE, np.zeros((60, 80, 1), np.uint16)], axis=-1)
OPAQUE = np.concatenate([WIDE, np.full((60, 80, 1), 65535, np.uint16)], axis=-1)


def lab() -> np.ndarray[Any, Any]:
    """Return the colours in 16 bits of Lab, whose second and third channel are signed."""
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(COLOUR), *profiles, outputMode="LAB")
    return np.asarray(image).astype(np.uint16) << 8


LAB = lab()


def tiff(values: np.ndarray[Any, Any], photometric: str = "rgb", **options: Any) -> bytes:
    out = io.BytesIO()
    if options.get("planarconfig") == "separate":
        values = np.moveaxis(values, -1, 0)
    tifffile.imwrite(out, values, photometric=photometric, metadata=None, **options)
    return out.getvalue()


def packed_tiff(values: np.ndarray[Any, Any], bits: int, compression: int = 1) -> bytes:
    """Write samples of ``bits`` bits that do not end at byte boundaries; each row starts at one."""
    height, width, samples = values.shape
    rows = b""
    for row in values.reshape(height, -1).astype(int) * 2**bits // 256:
        text = "".join(format(value, f"0{bits}b") for value in row)
        rows += int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    if compression == DEFLATE:
        rows = zlib.compress(rows)
    bits_at = 8 + 2 + 12 * 9 + 4
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, samples, bits if samples == 1 else bits_at),
        (259, 3, 1, compression),
        (262, 3, 1, 2 if samples == 3 else 1),
        (273, 4, 1, bits_at + 6),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, len(rows)),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + struct.pack("<I", 0)
    return head + struct.pack("<3H", *[bits] * 3) + rows


def ycbcr_tiff(across: int, down: int, rows_per_strip: int = 60) -> bytes:
    """Write uncompressed YCbCr, with one colour for each block of pixels."""
    pixels = np.asarray(Image.fromarray(COLOUR).convert("YCbCr")).astype(int)
    strips = []
    for top in range(0, 60, rows_per_strip):
        blocks = [
            pixels[y : min(y + down, 60), x : x + across]
            for y in range(top, min(top + rows_per_strip, 60), down)
            for x in range(0, 80, across)
        ]
        strips.append(
            b"".join(
                np.pad(block[..., 0], ((0, down - len(block)), (0, 0)), mode="edge")
                .astype(np.uint8)
                .tobytes()
                + block[..., 1:].mean(axis=(0, 1)).astype(np.uint8).tobytes()
                for block in blocks
            )
        )
    count = len(strips)
    lists_at = 8 + 2 + 12 * 10 + 4
    pixels_at = lists_at + 6 + 8 * count
    starts = [pixels_at + sum(map(len, strips[:number])) for number in range(count)]
    sizes = [len(strip) for strip in strips]
    entries = [
        (256, 4, 1, 80),
        (257, 4, 1, 60),
        (258, 3, 3, lists_at),
        (259, 3, 1, 1),
        (262, 3, 1, 6),
        (273, 4, count, starts[0] if count == 1 else lists_at + 6),
        (277, 3, 1, 3),
        (278, 4, 1, rows_per_strip),
        (279, 4, count, sizes[0] if count == 1 else lists_at + 6 + 4 * count),
        (530, 3, 2, across + (down << 16)),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    lists = struct.pack(f"<3H{2 * count}I", 8, 8, 8, *starts, *sizes)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + lists + b"".join(strips)


def stored(data: bytes) -> list[np.ndarray[Any, Any]]:
    """Return the site's stored pixels and the folder tool's."""
    photos = prepare(data, limits=LIMITS).photo, site_renditions(data)[Rendition.PHOTO]
    return [np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"), np.int16) for photo in photos]


LAYOUTS = {
    "16 bits": tiff(WIDE),
    "16 bits, big-endian": tiff(WIDE, byteorder=">"),
    "16 bits in planes": tiff(WIDE, planarconfig="separate"),
    "16 bits in planes, big-endian": tiff(WIDE, planarconfig="separate", byteorder=">"),
    "16 bits in planes with opacity": tiff(OPAQUE, planarconfig="separate", extrasamples=["unassalpha"]),
    "16 bits in planes, deflated": tiff(WIDE, planarconfig="separate", compression="zlib"),
    "12 bits in 16": tiff(WIDE >> 4),
    "32 bits": tiff(WIDE.astype(np.uint32) << 16),
    "signed 8 bits": tiff((COLOUR // 2).astype(np.int8)),
    "64 bits": tiff(WIDE.astype(np.uint64) << 48),
    "floats": tiff((COLOUR / 255).astype(np.float32)),
    "halves": tiff((COLOUR / 255).astype(np.float16)),
    "doubles in planes": tiff(COLOUR / 255, planarconfig="separate"),
    "16 bits in colour and an unknown plane": tiff(
        OPAQUE, planarconfig="separate", extrasamples=["unspecified"]
    ),
    "8 bits in planes with opacity": tiff(
        (OPAQUE >> 8).astype(np.uint8), planarconfig="separate", extrasamples=["assocalpha"]
    ),
    "inks of 16 bits in planes": tiff(INKS, "separated", planarconfig="separate"),
    "Lab of 16 bits": tiff(LAB, "cielab"),
    "Lab of 8 bits in planes": tiff((LAB >> 8).astype(np.uint8), "cielab", planarconfig="separate"),
    "Lab and a selection": tiff(
        (np.concatenate([LAB, LAB[..., :1]], axis=-1) >> 8).astype(np.uint8), "cielab", planarconfig="contig"
    ),
    "inks in planes": tiff((INKS >> 8).astype(np.uint8), "separated", planarconfig="separate"),
    "Lab of profiles": tiff((LAB >> 8).astype(np.uint8) ^ np.array([0, 128, 128], np.uint8), "icclab"),
    "big-endian BigTIFF": tiff(COLOUR, bigtiff=True, byteorder=">"),
    "12 bits, packed": packed_tiff(COLOUR, 12),
    "10 bits, packed": packed_tiff(COLOUR, 10),
    "14 bits, packed": packed_tiff(COLOUR, 14),
    "12 bits, packed and deflated": packed_tiff(COLOUR, 12, DEFLATE),
    "colour and a selection": tiff(
        np.concatenate([COLOUR, COLOUR[..., :2]], axis=-1), extrasamples=["unspecified", "unassalpha"]
    ),
    "colour and five channels": tiff(np.concatenate([COLOUR, COLOUR, COLOUR[..., :2]], axis=-1)),
    "inks and a selection": tiff(
        (np.concatenate([INKS, INKS[..., :1]], axis=-1) >> 8).astype(np.uint8),
        "separated",
        extrasamples=["unassalpha"],
    ),
    "shared colours, 2 x 2": ycbcr_tiff(2, 2),
    "shared colours, 2 x 1": ycbcr_tiff(2, 1),
    "shared colours, 2 x 2, in strips": ycbcr_tiff(2, 2, 16),
    "shared colours, 1 x 1": ycbcr_tiff(1, 1),
}
GREY_LAYOUTS = {
    "32 bits": tiff(WIDE[..., 0].astype(np.uint32) << 16, "minisblack"),
    "signed": tiff((WIDE[..., 0] // 2).astype(np.int16), "minisblack"),
    "signed 8 bits": tiff((GREY // 2).astype(np.int8), "minisblack"),
    "signed 64 bits": tiff(WIDE[..., 0].astype(np.int64) << 47, "minisblack"),
    "white is zero": tiff(65535 - WIDE[..., 0], "miniswhite"),
    "with opacity": tiff(
        OPAQUE[..., [0, 3]], "minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    ),
    "with opacity in a plane": tiff(
        (OPAQUE[..., [0, 3]] >> 8).astype(np.uint8),
        "minisblack",
        extrasamples=["unassalpha"],
        planarconfig="separate",
    ),
    "with three selections": tiff(COLOUR[..., [0, 1, 2, 1]], "minisblack", planarconfig="contig"),
    "with two selections in planes": tiff(COLOUR, "minisblack", planarconfig="separate"),
    "white is zero, with opacity": tiff(
        np.stack([255 - GREY, np.full_like(GREY, 255)], axis=-1), "miniswhite", extrasamples=["unassalpha"]
    ),
    "doubles": tiff(GREY / 255, "minisblack"),
    "12 bits, packed": packed_tiff(GREY[..., np.newaxis], 12),
    "10 bits, packed": packed_tiff(GREY[..., np.newaxis], 10),
    "with premultiplied opacity": tiff(
        np.stack([GREY, np.full_like(GREY, 255)], axis=-1), "minisblack", extrasamples=["assocalpha"]
    ),
}


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_colour_model_that_is_not_stated_is_guessed_as_by_libtiff(photometric: str) -> None:
    """The tag of the colour model is replaced by another tag of the same type."""
    data = tiff(COLOUR if photometric == "rgb" else GREY, photometric)
    stated = struct.pack("<HHI", 262, 3, 1)
    assert data.count(stated) == 1
    photo = prepare(data.replace(stated, struct.pack("<HHI", 261, 3, 1)), limits=LIMITS).photo
    assert photo == prepare(data, limits=LIMITS).photo


@pytest.mark.parametrize("name", LAYOUTS)
def test_colours_are_stored_as_they_are(name: str) -> None:
    for pixels in stored(LAYOUTS[name]):
        assert np.abs(pixels - COLOUR).mean() < 2


@pytest.mark.parametrize("name", GREY_LAYOUTS)
def test_greys_are_stored_as_they_are(name: str) -> None:
    for pixels in stored(GREY_LAYOUTS[name]):
        assert np.abs(pixels - GREY[..., np.newaxis]).mean() < 2


@pytest.mark.parametrize("dtype", ["i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_a_dark_photo_is_not_stretched_in_any_type_of_integers(dtype: str) -> None:
    """Its brightest sample uses the top two bits of the type, but not the topmost."""
    values = (COLOUR / 255 * 0.45 * np.iinfo(dtype).max).astype(dtype)
    for pixels in stored(tiff(values)):
        assert np.abs(pixels - COLOUR * 0.45).mean() < 2


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_few_bits_of_colour_are_read(bits: int) -> None:
    step = 255 / (2**bits - 1)
    for pixels in stored(packed_tiff(COLOUR, bits)):
        assert np.abs(pixels - COLOUR).mean() < step / 3 + 2


def test_packed_colours_that_would_take_seconds_are_refused() -> None:
    side = 6_700
    strip = zlib.compress(bytes(side * (side * 36 // 8)))
    tags = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 3, 134),
        (259, 3, 1, 8),
        (262, 3, 1, 2),
        (273, 4, 1, 140),
    ]
    tags += [(277, 3, 1, 3), (278, 4, 1, side), (279, 4, 1, len(strip)), (284, 3, 1, 1)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    data = struct.pack("<2sHI", b"II", 42, 8) + directory + struct.pack("<3H", 12, 12, 12) + strip
    with pytest.raises(UnreadableImage, match=r"^This TIFF stores its colours in a way"):
        with_plain_samples(data, 64_000_000)


def test_a_palette_of_65536_colours_is_read() -> None:
    palette = np.zeros((3, 2**16), np.uint16)
    palette[:, 1000], palette[:, 60_000] = (200 * 257, 40 * 257, 90 * 257), (30 * 257, 50 * 257, 220 * 257)
    index = np.full((60, 80), 1000, np.uint16)
    index[30:] = 60_000
    for options in ({}, {"byteorder": ">"}, {"compression": "zlib"}):
        for pixels in stored(tiff(index, "palette", colormap=palette, **options)):
            assert np.abs(pixels[10] - (200, 40, 90)).max() <= 3
            assert np.abs(pixels[50] - (30, 50, 220)).max() <= 3


def test_a_palette_of_8_bits_is_not_black() -> None:
    palette = np.zeros((3, 256), np.uint16)
    palette[:, 1] = 200, 40, 90
    index = np.ones((60, 80), np.uint8)
    for order in "<>":
        for factor in (1, 257):
            data = tiff(index, "palette", colormap=palette * factor, byteorder=order)
            for pixels in stored(data):
                assert np.abs(pixels - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("codec", [34712, 34892, 50001, 50002])
def test_a_codec_that_is_missing_here_is_named_as_the_reason(codec: int) -> None:
    data = tiff(COLOUR).replace(struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 259, 3, 1, codec))
    with pytest.raises(NotAnImage, match=r"^This TIFF stores its colours in a way"):
        prepare(data, limits=LIMITS)


def test_premultiplied_colour_is_composed_on_white() -> None:
    half = np.full((60, 80, 4), 32768, np.uint16)
    half[..., 1:3] = 0  # red, half transparent, on white
    for pixels in stored(tiff(half, planarconfig="separate", extrasamples=["assocalpha"])):
        assert np.abs(pixels - (255, 127, 127)).max() <= 4


def test_orientation_is_kept() -> None:
    data = tiff(WIDE, planarconfig="separate", extratags=[(274, 3, 1, 6, True)])
    assert [pixels.shape[:2] for pixels in stored(data)] == [(80, 60), (80, 60)]


def test_a_plain_tiff_is_not_decoded_twice() -> None:
    for data in (
        tiff(COLOUR),
        tiff(WIDE[..., 0], "minisblack"),
        tiff(GREY, "minisblack"),
        b"II*\0",
        b"II*\0\xff",
    ):
        assert with_plain_samples(data, 10**6) is data


def test_unreadable_samples_are_refused_in_a_sentence() -> None:
    with pytest.raises(NotAnImage, match=r"^This TIFF stores its colours in a way .* Save it as JPEG"):
        prepare(packed_tiff(COLOUR, 12, compression=5), limits=LIMITS)


def test_unequal_bits_of_many_samples_are_refused_at_once() -> None:
    """A list of bits that is multiplied by the number of samples has 300 million entries."""
    data = tiff(WIDE, planarconfig="separate")
    data = data.replace(struct.pack("<3H", 16, 16, 16), struct.pack("<3H", 16, 16, 8), 1)
    data = data.replace(struct.pack("<HHIH", 277, 3, 1, 3), struct.pack("<HHIH", 277, 3, 1, 60_000))
    start_s = time.process_time()
    with pytest.raises((NotAnImage, BrokenImage)):
        prepare(data, limits=LIMITS)
    assert time.process_time() - start_s < 1


def test_the_limit_of_pixels_is_checked_before_decoding() -> None:
    data = tiff(WIDE, planarconfig="separate")
    assert with_plain_samples(data, 60 * 80 - 1) is data


def test_without_tifffile_only_tiffs_that_need_it_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder tool needs it only for these."""
    wide, floats = tiff(WIDE), tiff(COLOUR.astype(np.float32) / 255)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert with_plain_samples(wide, LIMITS.max_pixels) is wide
    with pytest.raises(UnreadableImage, match="only if the package tifffile is installed"):
        with_plain_samples(floats, LIMITS.max_pixels)
