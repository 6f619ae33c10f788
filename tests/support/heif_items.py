"""HEIC files made of grids, grids of grids, rotations and chains of copies, which encoders do not make."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Sequence

import pillow_heif
from PIL import Image

from tests.support.heif_files import box, boxes


@functools.cache
def _tile(side_px: int) -> tuple[bytes, bytes]:
    """Return the decoder's configuration and the coded bytes of a plain tile."""
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (side_px, side_px), (200, 60, 40))).save(out)
    file = {name: content for _, name, content in boxes(out.getvalue())}
    meta = {name: content for _, name, content in boxes(file[b"meta"][4:])}
    shared = {
        name: content
        for _, name, content in boxes(next(c for _, n, c in boxes(meta[b"iprp"]) if n == b"ipco"))
    }
    return shared[b"hvcC"], file[b"mdat"]


class HeifItems:
    """Collects items. Their ids count from 1, and the last item is the photo."""

    def __init__(self, tile_px: int) -> None:
        configuration, coded = _tile(tile_px)
        self._items: list[tuple[bytes, bytes, list[int]]] = []
        self._properties: list[bytes] = []
        self._references = b""
        self.tile = self._add(b"hvc1", coded, [self._size(tile_px), self._property(b"hvcC", configuration)])

    def grid(self, parts: Sequence[int], side_px: int, turns: int = 0) -> int:
        """Add a square grid of items that is turned by 90 degrees ``turns`` times."""
        count = round(len(parts) ** 0.5)
        content = struct.pack(">BBBBII", 0, 1, count - 1, count - 1, side_px, side_px)
        return self._add(b"grid", content, [self._size(side_px), *[self._turn()] * turns], parts)

    def copy(self, item: int, side_px: int) -> int:
        """Add a turned copy of an item."""
        return self._add(b"iden", b"", [self._size(side_px), self._turn()], [item])

    def opacity_of(self, item: int, opacity: int) -> None:
        """Make an item the opacity of another one."""
        self._references += box(b"auxl", struct.pack(">IHI", opacity, 1, item))

    def file(self) -> bytes:
        start = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
        first = len(start) + len(self._meta(0)) + 8
        return start + self._meta(first) + box(b"mdat", b"".join(content for _, content, _ in self._items))

    def _add(self, kind: bytes, content: bytes, properties: list[int], parts: Sequence[int] = ()) -> int:
        self._items.append((kind, content, properties))
        item = len(self._items)
        if parts:
            named = struct.pack(f">IH{len(parts)}I", item, len(parts), *parts)
            self._references += box(b"dimg", named)
        return item

    def _property(self, name: bytes, content: bytes) -> int:
        self._properties.append(box(name, content))
        return len(self._properties)

    def _size(self, side_px: int) -> int:
        return self._property(b"ispe", struct.pack(">III", 0, side_px, side_px))

    def _turn(self) -> int:
        return self._property(b"irot", b"\1")

    def _meta(self, first: int) -> bytes:
        count = struct.pack(">I", len(self._items))
        entries = locations = numbers = b""
        for item, (kind, content, properties) in enumerate(self._items, 1):
            entries += box(b"infe", struct.pack(">IIH4s", 3 << 24, item, 0, kind) + b"\0")
            locations += struct.pack(">IHHHII", item, 0, 0, 1, first, len(content))
            numbers += struct.pack(f">IB{len(properties)}H", item, len(properties), *properties)
            first += len(content)
        content = box(b"ipco", b"".join(self._properties)) + box(b"ipma", b"\1\0\0\1" + count + numbers)
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">II", 1 << 24, len(self._items)))
            + box(b"iloc", b"\2\0\0\0\x44\0" + count + locations)
            + box(b"iinf", b"\1\0\0\0" + count + entries)
            + box(b"iprp", content)
            + box(b"iref", b"\1\0\0\0" + self._references),
        )
