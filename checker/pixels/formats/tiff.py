"""Select the full-resolution image of a TIFF, even if a smaller image comes first."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from checker.errors import UnreadableImage
from checker.pixels.formats.raw import RAW_PHOTO

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES = 256, 257, 262, 330
_WANTED = {_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES}
_PALETTE, _SHORT = 320, 3
_MAX_PALETTE, _FIRST_WIDE_LEVEL = 3 * 2**16, 256
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # a value of SubfileType
_RAW = {32803, 34892}  # colour filter array, linear raw
_CANON_RAW = b"\x10\0\0\0CR"  # CR2 is not marked as raw; its first directory is at byte 16
_INTEGERS = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MAX_DIRECTORIES, _MAX_ENTRIES, _MAX_VALUES = 64, 1024, 64


@dataclass(frozen=True, slots=True)
class _Directory:
    offset: int
    is_preview: bool
    is_raw: bool
    pixels: int
    sub_directories: tuple[int, ...]


Entry = tuple[int, int, int, bytes]
"""Tag, type, count of values, and the field that holds the values or their offset."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte order and field types of one file, in the notation of ``struct``."""

    order: str
    link_at: int
    """Position of the first directory's offset."""
    offset: str
    count: str
    entry: str

    @classmethod
    def of(cls, data: bytes) -> Layout:
        order = "<" if data.startswith(b"II") else ">"
        if b"+" in data[2:4]:  # BigTIFF
            return cls(order, 8, order + "Q", order + "Q", order + "HHQ8s")
        return cls(order, 4, order + "I", order + "H", order + "HHI4s")

    def offset_at(self, data: bytes, position: int) -> int:
        """Read one offset.

        Raises:
            struct.error: ``position`` lies beyond the file's end.
        """
        (offset,) = struct.unpack_from(self.offset, data, min(position, len(data)))
        return int(offset)

    def directory(self, data: bytes, offset: int) -> tuple[int, Iterator[Entry], int]:
        """Return the number of entries, the entries, and the position of the next directory's offset.

        Raises:
            struct.error: ``offset`` lies beyond the file's end.
        """
        (count,) = struct.unpack_from(self.count, data, min(offset, len(data)))
        start = offset + struct.calcsize(self.count)
        end = start + count * struct.calcsize(self.entry)
        return count, struct.iter_unpack(self.entry, data[start:end]), end


def full_resolution_first(data: bytes) -> bytes:
    """Return the file with its header pointing at the full-resolution image.

    Return the same object if that image is first already. The first page is a preview if it is marked as a
    preview (NewSubfileType, SubfileType), or if a larger image belongs to it (SubIFDs); other pages are not
    compared by size.

    Raises:
        UnreadableImage: the file is a raw photo (DNG and the like), of which only a preview could be decoded.
    """
    layout = Layout.of(data)
    directories = list(_directories(data, layout))
    if data[4:10] == _CANON_RAW or any(directory.is_raw for directory in directories):
        raise UnreadableImage(RAW_PHOTO)
    if not directories or not _is_preview(directories[0], directories):
        return data
    full = max(directories, key=lambda directory: (not directory.is_preview, directory.pixels))
    link = struct.pack(layout.offset, full.offset)
    return data[: layout.link_at] + link + data[layout.link_at + len(link) :]


def _is_preview(first: _Directory, directories: Collection[_Directory]) -> bool:
    return first.is_preview or any(
        directory.offset in first.sub_directories
        and not directory.is_preview
        and directory.pixels > first.pixels
        for directory in directories
    )


def _directories(data: bytes, layout: Layout) -> Iterator[_Directory]:
    """Yield every directory and sub-directory that can be read, beginning with the first directory."""
    links = deque([layout.link_at])
    offsets: deque[int] = deque()
    seen = {0}
    while (links or offsets) and len(seen) <= _MAX_DIRECTORIES:
        try:
            offset = offsets.popleft() if offsets else layout.offset_at(data, links.popleft())
            if offset in seen:
                continue
            seen.add(offset)
            _, entries, link = layout.directory(data, offset)
            links.append(link)
            tags = _values(entries, data, layout, _WANTED)
        except struct.error:
            continue
        sub_directories = tags.get(_SUB_DIRECTORIES, ())
        offsets += sub_directories
        subfile, old_subfile, photometric, width, height = (
            tags.get(tag, (0,))[0]
            for tag in (_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _PHOTOMETRIC, _WIDTH, _HEIGHT)
        )
        is_preview = bool(subfile & (_REDUCED | _MASK)) or old_subfile == _OLD_REDUCED
        yield _Directory(offset, is_preview, photometric in _RAW, width * height, sub_directories)


def with_wide_palette(data: bytes) -> bytes:
    """Return the file with its first palette in 16 bits if it was written in 8 bits, else the same object.

    The standard demands 16 bits, so a palette in 8 bits would make the photo black.
    """
    layout = Layout.of(data)
    try:
        _, entries, _ = layout.directory(data, layout.offset_at(data, layout.link_at))
        for tag, kind, count, field in islice(entries, _MAX_ENTRIES):
            if tag == _PALETTE and kind == _SHORT and count <= _MAX_PALETTE:
                codes = f"{layout.order}{count}H"
                at = layout.offset_at(field, 0)
                levels = struct.unpack_from(codes, data, min(at, len(data)))
                if not 0 < max(levels, default=0) < _FIRST_WIDE_LEVEL:
                    return data
                wide = struct.pack(codes, *(level * 257 for level in levels))
                return data[:at] + wide + data[at + len(wide) :]
    except struct.error:
        pass
    return data


def values_of(
    data: bytes, layout: Layout, wanted: Collection[int], offset: int
) -> dict[int, tuple[int, ...]]:
    """Read the ``wanted`` integer tags of the directory at ``offset``.

    Raises:
        struct.error: the directory lies beyond the file's end.
    """
    _, entries, _ = layout.directory(data, offset)
    return _values(entries, data, layout, wanted)


def _values(
    entries: Iterator[Entry], data: bytes, layout: Layout, wanted: Collection[int]
) -> dict[int, tuple[int, ...]]:
    tags = {}
    for tag, kind, values, field in islice(entries, _MAX_ENTRIES):
        if tag in wanted and kind in _INTEGERS and 0 < values <= _MAX_VALUES:
            codes = f"{layout.order}{values}{_INTEGERS[kind]}"
            if struct.calcsize(codes) <= len(field):
                tags[tag] = struct.unpack_from(codes, field)
            else:
                tags[tag] = struct.unpack_from(codes, data, min(layout.offset_at(field, 0), len(data)))
    return tags
