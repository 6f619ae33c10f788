"""Estimate the work of decoding a HEIC or AVIF, whose boxes may name a tile or a rotation thousands of times.

libheif limits the tiles of one grid to a thousand, but limits neither grids in a grid nor copies: a file of
2 kB can ask for 30 rotations of 64 megapixels, which take 14 s.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from checker.pixels.formats.heif_boxes import (
    FULL_BYTES,
    children,
    item_types,
    meta_box,
    primary_item,
    property_boxes,
    property_numbers,
)

_TRANSFORMATIONS = frozenset({b"irot", b"imir", b"clap"})
_COPY_STEPS = 384
"""A turned copy of 64 megapixels takes 0.45 s, a small tile 0.1 to 0.5 ms."""
_MAX_STEPS = 2**16
_MAX_DEPTH = 8

References = Mapping[int, list[tuple[int, ...]]]
"""Id of an item -> groups of ids that it refers to."""


def decoding_steps(data: bytes) -> int:
    """Return the number of images that are decoded for the photo; a copy of the whole counts as 384.

    Return 0 for a broken file, which the decoder will refuse.
    """
    try:
        boxes = property_boxes(data)
        turning = {number for number, box in enumerate(boxes, 1) if box[0] in _TRANSFORMATIONS}
        copies: dict[int, int] = defaultdict(int)
        for item, numbers in property_numbers(data):
            copies[item] += sum(number in turning for number in numbers)
        return _Counter(item_types(data), copies, *_references(data)).steps(primary_item(data))
    except (struct.error, LookupError):
        return 0


@dataclass(slots=True)
class _Counter:
    types: Mapping[int, bytes]
    copies: Mapping[int, int]
    parts: References
    auxiliary: References
    known: dict[int, int] = field(default_factory=dict)

    def steps(self, item: int, depth: int = 0) -> int:
        """Count the steps of an item, its parts and its opacity."""
        if depth > _MAX_DEPTH:
            return _MAX_STEPS
        if item not in self.known:
            parts = [part for group in self.parts.get(item, ()) for part in group]
            steps = _COPY_STEPS * self.copies.get(item, 0) + (not parts)
            if self.types.get(item) != b"grid":  # each part is a layer as large as the whole
                steps += _COPY_STEPS * len(parts)
            auxiliary = (other for group in self.auxiliary.get(item, ()) for other in group)
            self.known[item] = self._sum((*parts, *auxiliary), depth, steps)
        return self.known[item]

    def _sum(self, items: Iterable[int], depth: int, steps: int) -> int:
        for item in items:
            if steps >= _MAX_STEPS:
                break
            steps += self.steps(item, depth + 1)
        return min(steps, _MAX_STEPS)


def _references(data: bytes) -> tuple[References, References]:
    """Return the parts of each item, and the items that are auxiliary to it, such as its opacity."""
    parts: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    auxiliary: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    try:
        iref = meta_box(data, b"iref")
    except LookupError:  # a single image
        return parts, auxiliary
    code = "I" if data[iref[1]] else "H"
    for name, at, end in children(data, iref, FULL_BYTES):
        source, count = struct.unpack_from(f">{code}H", data, at)
        first = at + struct.calcsize(f">{code}H")
        fitting = max(0, end - first) // struct.calcsize(f">{code}")  # a box may announce more
        targets = struct.unpack_from(f">{min(count, fitting)}{code}", data, first)
        if name == b"dimg":
            parts[source].append(targets)
        elif name == b"auxl":
            for target in targets:
                auxiliary[target].append((source,))
    return parts, auxiliary
