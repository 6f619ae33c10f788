"""BMP files are read whatever the masks of their channels."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from catloader.intake.prepare import Limits, prepare
from checker.pixels.formats.bmp import with_known_masks
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

LIMITS = Limits(2**20, 10**6, 2560, 320, 88)
WIDTH, HEIGHT = 30, 20  # rows of 16 bits end with padding
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
COLOUR = np.stack([X * 8, Y * 12, 255 - X * 8], axis=-1)
MASKS = {
    "4 bits each with opacity": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "blue first": (16, (0x1F, 0x7E0, 0xF800, 0)),
    "2, 3 and 1 bits": (16, (0x3000, 0xE00, 0x100, 0)),
    "8 bits, red first": (32, (0xFF, 0xFF00, 0xFF0000, 0)),
    "8 bits, red first, with opacity": (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    "10 bits": (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
    "11, 11 and 10 bits": (32, (0xFFE00000, 0x1FFC00, 0x3FF, 0)),
    "known, 5 and 6 bits": (16, (0xF800, 0x7E0, 0x1F, 0)),
    "known, 5 bits": (16, (0x7C00, 0x3E0, 0x1F, 0)),
    "known, 8 bits": (32, (0xFF0000, 0xFF00, 0xFF, 0)),
    "known, 8 bits with opacity": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
}


def placed(levels: np.ndarray, mask: int) -> np.ndarray:
    """Return levels 0..255 in the bits of a mask."""
    lowest = (mask & -mask).bit_length() - 1
    return np.round(levels * ((mask >> lowest) / 255)).astype(np.uint32) << lowest


def bmp(
    bits: int, masks: tuple[int, ...], *, alpha: int = 255, header: int = 124, top_down: bool = False
) -> bytes:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint32)
    for channel, mask in enumerate(masks):
        if mask:
            levels = COLOUR[..., channel] if channel < 3 else np.full((HEIGHT, WIDTH), alpha)
            pixels |= placed(levels, mask)
    rows = pixels if top_down else pixels[::-1]
    padding = bytes(-(WIDTH * bits // 8) % 4)
    content = b"".join(row.astype(f"<u{bits // 8}").tobytes() + padding for row in rows)
    fields = (header, WIDTH, -HEIGHT if top_down else HEIGHT, 1, bits, 3, len(content), 0, 0, 0, 0)
    of_masks = struct.pack("<4I", *masks)
    head = struct.pack("<IiiHHIIiiII", *fields) + (
        of_masks.ljust(header - 40, b"\0") if header > 40 else of_masks[:12]
    )
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(head)) + head + content


def stored(data: bytes) -> np.ndarray:
    """Return the stored pixels; the folder tool's are the same."""
    photo = prepare(data, limits=LIMITS).photo
    assert site_renditions(data)[Rendition.PHOTO] == photo
    return np.asarray(Image.open(io.BytesIO(photo)), np.int16)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("header", [40, 124])
@pytest.mark.parametrize("name", MASKS)
def test_colours_are_stored_as_they_are(name: str, header: int, top_down: bool) -> None:
    bits, masks = MASKS[name]
    steps = [255 / (mask >> ((mask & -mask).bit_length() - 1)) for mask in masks[:3]]
    apart = np.abs(stored(bmp(bits, masks, header=header, top_down=top_down)) - COLOUR).mean(axis=(0, 1))
    assert (apart < np.array(steps) / 3 + 4).all(), apart


def test_opacity_of_any_width_lies_on_white() -> None:
    bits, masks = MASKS["4 bits each with opacity"]
    assert np.abs(stored(bmp(bits, masks, alpha=0)) - 255).max() <= 2
    half = stored(bmp(bits, masks, alpha=119))
    assert np.abs(half - (COLOUR * 119 / 255 + 136)).mean() < 6


def test_the_same_file_is_returned_if_there_is_nothing_to_do() -> None:
    unknown = bmp(*MASKS["10 bits"])
    for data in (
        bmp(*MASKS["known, 5 bits"]),
        bmp(*MASKS["known, 8 bits"]),
        unknown[:-1],
        *(unknown[:size] for size in range(0, 70, 3)),
    ):
        assert with_known_masks(data, 10**6) is data
    assert with_known_masks(unknown, WIDTH * HEIGHT - 1) is unknown
