"""Read HEIC and AVIF boxes (ISO 23008-12): the format, and properties that decoders do not report."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain, islice
from typing import Literal

Format = Literal["AVIF", "HEIC"]

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_NEUTRAL_BRANDS = {b"mif1", b"msf1"}
_OPENED: dict[Format, set[bytes]] = {
    "AVIF": _AVIF_BRANDS | _NEUTRAL_BRANDS,
    "HEIC": _HEIC_BRANDS | _NEUTRAL_BRANDS,
}
"""Brands that the decoder of each format accepts as the first one."""
_MAX_BRANDS_BYTES = 1024
_MAX_BOXES = 2**16
FULL_BYTES = 4
"""Version and flags of a "full box"."""

Box = tuple[bytes, int, int]
"""Name, start and end of the content."""


def heif_format(data: bytes) -> Format | None:
    """Return the format of a file by the codec of its images, or by its brands if no codec is found."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), _MAX_BRANDS_BYTES)
    major, compatible = data[8:12], {data[start : start + 4] for start in range(16, end, 4)}
    brands = {major} | compatible
    if not (brands & (_AVIF_BRANDS | _HEIC_BRANDS) or major in _NEUTRAL_BRANDS):
        return None  # a video
    codecs = set(item_types(data).values()) & {b"av01", b"hvc1"}
    if len(codecs) == 1:
        return "AVIF" if b"av01" in codecs else "HEIC"
    is_avif = major in _AVIF_BRANDS or (major not in _HEIC_BRANDS and bool(brands & _AVIF_BRANDS))
    return "AVIF" if is_avif else "HEIC"


def with_known_brand(data: bytes) -> bytes:
    """Return the file with the brand of its format first, where decoders look for it.

    Return the same object if that brand is first already, or if the file has another format.
    """
    format = heif_format(data)
    if format is None or data[8:12] in _OPENED[format]:
        return data
    return data[:8] + format.lower().encode() + data[12:]


def properties_of_photo(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and content of each property of the primary item, in the item's order.

    The list is empty for a broken file, which the decoder will refuse.
    """
    try:
        primary, boxes = primary_item(data), property_boxes(data)
        numbers = [n for item, numbers in property_numbers(data) if item == primary for n in numbers]
        return [(name, data[start:end]) for name, start, end in (boxes[n - 1] for n in numbers if n)]
    except (struct.error, LookupError):
        return []


def primary_item(data: bytes) -> int:
    """Return the id of the item that is the photo.

    Raises:
        LookupError, struct.error: the file is broken; the next two functions raise the same.
    """
    _, at, _ = meta_box(data, b"pitm")
    (primary,) = struct.unpack_from(">I" if data[at] else ">H", data, at + FULL_BYTES)
    return int(primary)


def property_boxes(data: bytes) -> list[Box]:
    """Return the properties that items share; items refer to them by numbers from 1."""
    return list(children(data, _child(data, meta_box(data, b"iprp"), b"ipco")))


def property_numbers(data: bytes) -> Iterator[tuple[int, list[int]]]:
    """Yield the id and the property numbers of each item, for at most ``_MAX_BOXES`` items."""
    lists = (box for box in children(data, meta_box(data, b"iprp")) if box[0] == b"ipma")
    return islice(chain.from_iterable(_numbers_in(data, box) for box in lists), _MAX_BOXES)


def _numbers_in(data: bytes, box: Box) -> Iterator[tuple[int, list[int]]]:
    _, at, end = box
    id_code = ">I" if data[at] else ">H"
    number_code, number_mask = ("H", 0x7FFF) if data[at + 3] & 1 else ("B", 0x7F)
    (items,) = struct.unpack_from(">I", data, at + FULL_BYTES)
    at += FULL_BYTES + 4
    for _ in range(items):
        if at >= end:  # a box may announce more items than it contains
            return
        (item,) = struct.unpack_from(id_code, data, at)
        at += struct.calcsize(id_code)
        numbers = f">{data[at]}{number_code}"
        yield item, [number & number_mask for number in struct.unpack_from(numbers, data, at + 1)]
        at += 1 + struct.calcsize(numbers)


def item_types(data: bytes) -> dict[int, bytes]:
    """Return item id -> type; of a broken file, as many as can be read."""
    types: dict[int, bytes] = {}
    try:
        iinf = meta_box(data, b"iinf")
        for _, at, _ in children(data, iinf, FULL_BYTES + (4 if data[iinf[1]] else 2)):
            # Version 2 has ids of 2 bytes, version 3 of 4; 2 bytes of protection follow.
            id_code = ">I" if data[at] > 2 else ">H"
            (item,) = struct.unpack_from(id_code, data, at + FULL_BYTES)
            place = at + FULL_BYTES + struct.calcsize(id_code) + 2
            types[item] = data[place : place + 4]
    except (struct.error, LookupError):
        pass
    return types


def meta_box(data: bytes, name: bytes) -> Box:
    """Return a box inside the file's ``meta`` box. Raises LookupError if it is missing."""
    return _child(data, _child(data, (b"", 0, len(data)), b"meta"), name, FULL_BYTES)


def _child(data: bytes, parent: Box, name: bytes, skipped: int = 0) -> Box:
    for box in children(data, parent, skipped):
        if box[0] == name:
            return box
    raise LookupError(name)


def children(data: bytes, parent: Box, skipped: int = 0) -> Iterator[Box]:
    """Yield the boxes in the content of ``parent``, after its first ``skipped`` bytes."""
    _, start, end = parent
    start += skipped
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, name = struct.unpack_from(">I4s", data, start)
        head_bytes = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head_bytes = 16
        box_end = start + size if size else end
        if box_end < start + head_bytes or box_end > end:
            return
        yield name, start + head_bytes, box_end
        start = box_end
