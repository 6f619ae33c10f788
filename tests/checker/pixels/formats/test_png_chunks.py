"""PNG files are read whatever their ancillary chunks contain; chunks that determine the pixels are kept."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from catloader.errors import BrokenImage, TooManyBytes
from catloader.intake.prepare import Limits, prepare
from checker.errors import UnreadableImage
from checker.pixels.formats.png_chunks import plain_png
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

LIMITS = Limits(2**25, 10**6, 2560, 320, 95)
Y, X = np.mgrid[0:48, 0:64]
IMAGE = Image.fromarray(np.stack([X * 4, Y * 5, 255 - X * 4], axis=-1).astype(np.uint8))


def png(image: Image.Image = IMAGE, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


PLAIN = png()
AFTER_HEADER, BEFORE_END = 33, len(PLAIN) - 12
P3 = zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
CHUNKS = {
    b"tEXt": b"Comment\0a cat",
    b"zTXt": b"Comment\0\0" + zlib.compress(b"a cat"),
    b"iTXt": b"Comment\0\x01\0\0\0" + zlib.compress(b"a cat"),
    b"iCCP": b"sRGB\0\0" + P3,
    b"eXIf": b"MM\0*\0\0\0\x08\0\0",
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": bytes(32),
    b"sRGB": b"\0",
    b"pHYs": bytes(9),
    b"tIME": bytes(7),
    b"acTL": struct.pack(">II", 1, 0),
    b"prVt": b"private",
}


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def many_texts(number: int, size_bytes: int) -> bytes:
    compressed = zlib.compress(bytes(size_bytes))
    return b"".join(chunk(b"zTXt", b"%d\0\0" % i + compressed) for i in range(number))


def stored(data: bytes) -> bytes:
    """Return the photo that the site stores; the folder tool's must be the same."""
    photo = prepare(data, limits=LIMITS).photo
    assert site_renditions(data)[Rendition.PHOTO] == site_renditions(PLAIN)[Rendition.PHOTO]
    return photo


@pytest.mark.parametrize("name", CHUNKS, ids=bytes.decode)
def test_an_ancillary_chunk_may_contain_anything(name: bytes) -> None:
    expected = prepare(PLAIN, limits=LIMITS).photo
    good = CHUNKS[name]
    broken = [
        chunk(name, good, checksum=7),
        *(chunk(name, c) for c in (b"", b"\xff", b"\xff\xfe" * 99, good[:-1])),
    ]
    for variant in [chunk(name, good), *broken]:
        for place in (AFTER_HEADER, BEFORE_END):
            assert stored(PLAIN[:place] + variant + PLAIN[place:]) == expected


@functools.cache
def bomb() -> bytes:
    return zlib.compress(bytes(10**8))


@pytest.mark.parametrize(
    "chunks",
    [
        lambda: chunk(b"zTXt", b"Comment\0\0" + bomb()),
        lambda: chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + bomb()),
        lambda: chunk(b"iCCP", b"icc\0\0" + bomb()),
        lambda: many_texts(20, 10**7),
    ],
    ids=["text", "XMP", "profile", "many texts"],
)
def test_a_bomb_in_an_ancillary_chunk_is_refused(chunks: Callable[[], bytes]) -> None:
    data = PLAIN[:AFTER_HEADER] + chunks() + PLAIN[AFTER_HEADER:]
    with pytest.raises(TooManyBytes, match="texts or the colour profile inside this PNG"):
        prepare(data, limits=LIMITS)
    with pytest.raises(UnreadableImage) as refused:
        site_renditions(data)
    assert str(refused.value) == "The photo can't be decoded: its texts or its colour profile are too large."


def test_megabytes_of_text_are_accepted() -> None:
    texts = many_texts(20, 3 * 10**6)
    assert plain_png(PLAIN[:AFTER_HEADER] + texts + PLAIN[AFTER_HEADER:]) == PLAIN


def test_transparency_profile_and_orientation_are_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = png(IMAGE, transparency=(0, 0, 255), icc_profile=zlib.decompress(P3), exif=exif)
    assert plain_png(clear) is clear
    assert prepare(clear, limits=LIMITS).width_px == 48
    namespaces = b'xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    xmp = b"<x:xmpmeta " + namespaces + b'><r tiff:Orientation="6"/></x:xmpmeta>'
    turned = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    data = PLAIN[:AFTER_HEADER] + turned + PLAIN[AFTER_HEADER:]
    assert plain_png(data) is data
    assert prepare(data, limits=LIMITS).width_px == 48


def test_a_file_without_its_end_is_read() -> None:
    expected = prepare(PLAIN, limits=LIMITS).photo
    for data in (PLAIN[:-12], PLAIN[:-6], PLAIN[:-4] + bytes(4), PLAIN + b"more", PLAIN[:-12] + b"\0\0\0"):
        assert stored(data) == expected
    animated = png(save_all=True, append_images=[IMAGE.rotate(90)])
    assert stored(animated[:-60]) == expected


def test_missing_and_broken_pixels_are_refused() -> None:
    at = PLAIN.index(b"IDAT")
    size = int.from_bytes(PLAIN[at - 4 : at], "big")
    middle = at + size // 2
    two = PLAIN[: at - 4] + chunk(b"IDAT", PLAIN[at + 4 : middle])
    for data in (
        PLAIN[: at + size // 2],
        two + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", PLAIN[middle : at + 4 + size]) + PLAIN[-12:],
        two,
        two + chunk(b"IDAT", PLAIN[middle : at + 4 + size])[:-40],
        PLAIN[: at + 4 + size] + bytes(4) + PLAIN[at + 8 + size :],
    ):
        with pytest.raises(BrokenImage):
            prepare(data, limits=LIMITS)
        with pytest.raises(UnreadableImage):
            site_renditions(data)


def test_palette_colours_without_a_palette_are_refused() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 3, 0, 0, 0))
    data = PLAIN[:8] + header + chunk(b"IDAT", zlib.compress(bytes(2))) + PLAIN[-12:]
    with pytest.raises(BrokenImage):
        prepare(data, limits=LIMITS)
    with pytest.raises(UnreadableImage):
        site_renditions(data)


def grey_levels(bits: int) -> bytes:
    """Encode four stripes of grey in this depth: the two darkest and the two brightest levels."""
    levels = np.repeat([0, 1, 2**bits - 2, 2**bits - 1], 8)
    if bits == 16:
        row = levels.astype(">u2").tobytes()
    else:
        bit_rows = (levels[:, None] >> np.arange(bits)[::-1]) & 1
        row = np.packbits(bit_rows.astype(np.uint8)).tobytes()
    return b"\0" + row


def png_of_rows(row: bytes, bits: int, colour_type: int, transparent: tuple[int, ...]) -> bytes:
    """Encode 32 pixels in 16 equal rows, with a transparent colour."""
    return b"".join(
        (
            PLAIN[:8],
            chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 16, bits, colour_type, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)),
            chunk(b"IDAT", zlib.compress(row * 16)),
            chunk(b"IEND", b""),
        )
    )


def stripes(data: bytes) -> list[int]:
    """Return the red of the four stripes as stored."""
    photo = prepare(data, limits=LIMITS).photo
    return [int(level) for level in np.asarray(Image.open(io.BytesIO(photo)))[8, 4::8, 0]]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("unused_bits", [0, 0xFFFF])
def test_a_transparent_grey_is_white_in_every_depth(bits: int, place: int, unused_bits: int) -> None:
    levels = [0, 1, 2**bits - 2, 2**bits - 1]
    transparent = levels[place] | (unused_bits & ~(2**bits - 1))
    expected = [255 if level == levels[place] else level * 255 / (2**bits - 1) for level in levels]
    data = png_of_rows(grey_levels(bits), bits, 0, (transparent,))
    assert stripes(data) == pytest.approx(expected, abs=4)


def test_a_transparent_colour_of_16_bits_is_white() -> None:
    colours = [(0x1234, 0x5678, 0x9ABC), (0x5678, 0x1234, 0x9ABC), (0x3412, 0x7856, 0xBC9A), (0, 0, 0)]
    row = b"\0" + np.repeat(np.array(colours, ">u2"), 8, axis=0).tobytes()
    data = png_of_rows(row, 16, 2, colours[0])
    assert stripes(data) == pytest.approx([255, 0x56, 0x34, 0], abs=6)
