"""The full-resolution image of a TIFF is read, not a preview before it; raw photos are refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from checker.errors import UnreadableImage
from checker.pixels.formats.tiff import full_resolution_first
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

RGB, CFA, LINEAR_RAW = 2, 32803, 34892
PREVIEW = {254: (4, 1)}
SMALL, LARGE = (48, 32), (240, 160)
RED, BLUE = (250, 0, 0), (0, 0, 250)

Tags = dict[int, tuple[int, int]]
"""Tag -> its type (3: 16 bits, 4: 32 bits) and value."""
Page = tuple[tuple[int, int], tuple[int, int, int], Tags]
"""Size, colour, more tags."""


def tiff(*pages: Page, order: str = "<", big: bool = False, sub_pages: tuple[Page, ...] = ()) -> bytes:
    """Draw one flat page each; ``sub_pages`` are linked from the first one."""
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    )
    long = "Q" if big else "I"
    data = bytearray(head + bytes(8 if big else 4))

    def add(page: Page, extra: Tags) -> tuple[int, int]:
        """Return the offset of the directory, and that of its link to the next."""
        (width, height), colour, tags = page
        strip = len(data)
        data.extend(bytes(colour) * (width * height))
        bits = len(data)
        data.extend(struct.pack(order + "HHH", 8, 8, 8) + bytes(-len(data) % 2))
        fields: dict[int, tuple[int, int, int]] = {
            256: (4, 1, width),
            257: (4, 1, height),
            258: (3, 3, bits),
            259: (3, 1, 1),
            262: (3, 1, RGB),
            273: (4, 1, strip),
            277: (3, 1, 3),
            278: (4, 1, height),
            279: (4, 1, width * height * 3),
        }
        if big:  # three 16-bit values fit into the field itself
            fields[258] = (3, 3, int.from_bytes(struct.pack(order + "HHHH", 8, 8, 8, 0), "little"))
        fields |= {tag: (kind, 1, value) for tag, (kind, value) in {**tags, **extra}.items()}
        place = len(data)
        data.extend(struct.pack(order + ("Q" if big else "H"), len(fields)))
        for tag, (kind, count, value) in sorted(fields.items()):
            if big and tag == 258:
                field = value.to_bytes(8, "little")
            elif kind == 3 and count == 1:
                field = struct.pack(order + "H", value).ljust(8 if big else 4, b"\0")
            else:
                field = struct.pack(order + "I", value).ljust(8 if big else 4, b"\0")
            data.extend(struct.pack(order + "HH" + long, tag, kind, count) + field)
        data.extend(bytes(8 if big else 4))
        return place, len(data) - (8 if big else 4)

    link = 8 if big else 4
    subs = [add(page, {})[0] for page in sub_pages]
    for number, page in enumerate(pages):
        extra: Tags = {330: (4, subs[0])} if subs and number == 0 else {}
        place, next_link = add(page, extra)
        struct.pack_into(order + long, data, link, place)
        link = next_link
    return bytes(data)


def seen(data: bytes) -> tuple[tuple[int, int], str]:
    """Return size and colour of the stored photo."""
    with Image.open(io.BytesIO(site_renditions(data)[Rendition.PHOTO])) as photo:
        red, _, blue = np.asarray(photo).mean((0, 1))
        return photo.size, "red" if red > blue else "blue"


LAYOUTS = [("<", False), (">", False), ("<", True)]  # Pillow reads no big-endian BigTIFF


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_full_page_is_read_if_the_first_page_is_a_preview(order: str, big: bool) -> None:
    data = tiff((SMALL, RED, PREVIEW), (LARGE, BLUE, {}), order=order, big=big)
    assert seen(data) == (LARGE, "blue")


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_full_image_below_a_preview_is_read(order: str, big: bool) -> None:
    data = tiff((SMALL, RED, PREVIEW), sub_pages=((LARGE, BLUE, {}),), order=order, big=big)
    assert seen(data) == (LARGE, "blue")


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_larger_image_of_an_unmarked_first_page_is_read(order: str, big: bool) -> None:
    data = tiff((SMALL, RED, {}), sub_pages=((LARGE, BLUE, {}),), order=order, big=big)
    assert seen(data) == (LARGE, "blue")


def test_raw_photo_of_canon_is_refused_although_its_preview_is_an_image() -> None:
    whole = tiff((LARGE, RED, {}))
    (first,) = struct.unpack_from("<I", whole, 4)
    size = 2 + 12 * int.from_bytes(whole[first : first + 2], "little") + 4
    moved = b"\x10\0\0\0CR\2\0\0\0\0\0" + whole[first : first + size]
    raw = whole[:4] + moved + whole[4 + len(moved) :]
    with pytest.raises(UnreadableImage, match="raw photo"):
        site_renditions(raw)
    assert seen(raw[:8] + b"no" + raw[10:])  # not Canon's mark, with a directory at the same offset


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
@pytest.mark.parametrize("photometric", [CFA, LINEAR_RAW])
def test_raw_photo_is_refused_by_name(order: str, big: bool, photometric: int) -> None:
    raw: Page = (LARGE, BLUE, {262: (3, photometric)})
    for data in (
        tiff((SMALL, RED, PREVIEW), sub_pages=(raw,), order=order, big=big),
        tiff((LARGE, RED, {}), raw, order=order, big=big),
        tiff(raw, order=order, big=big),
    ):
        with pytest.raises(UnreadableImage, match="raw photo"):
            site_renditions(data)


@pytest.mark.parametrize("tags", [{255: (3, 2)}, {254: (4, 4)}, {254: (4, 5)}])
def test_old_preview_tag_and_masks_are_recognised(tags: Tags) -> None:
    assert seen(tiff((SMALL, RED, tags), (LARGE, BLUE, {}))) == (LARGE, "blue")


def test_largest_preview_is_read_if_there_are_only_previews() -> None:
    assert seen(tiff((SMALL, RED, PREVIEW), (LARGE, BLUE, PREVIEW))) == (LARGE, "blue")


@pytest.mark.parametrize(
    "data",
    [
        tiff((SMALL, RED, {}), (LARGE, BLUE, {})),
        tiff((LARGE, RED, {}), (SMALL, BLUE, PREVIEW)),
        tiff((SMALL, RED, {}), sub_pages=((LARGE, BLUE, PREVIEW),)),
        tiff((SMALL, RED, PREVIEW)),
    ],
    ids=["two pages", "full page first", "previews below", "one page"],
)
def test_first_page_is_read_unless_it_is_a_preview(data: bytes) -> None:
    assert full_resolution_first(data) == data
    assert seen(data)[1] == "red"


def test_cyclic_directories_end() -> None:
    data = bytearray(tiff((SMALL, RED, PREVIEW), (LARGE, BLUE, {})))
    (first,) = struct.unpack_from("<I", data, 4)
    data[-4:] = struct.pack("<I", first)
    assert seen(bytes(data)) == (LARGE, "blue")
