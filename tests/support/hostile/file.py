"""One hostile file and its expected result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol

from tests.support.hostile.drawing import COLOURS, MARK, SIZE_PX, Quarters

CLAIMED_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".tif": "image/tiff",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
}
"""Suffix -> content type that a browser sends with such a file."""


@dataclass(frozen=True, slots=True)
class HostileFile:
    """A file to upload."""

    name: str
    category: str
    data: bytes = field(repr=False)
    upright_px: tuple[int, int] | None = None
    """Width and height of the upright photo; None if the file must be refused."""
    colours: Quarters | None = None
    """Mean sRGB of the quarters, on a white background; None if unknown."""
    forbidden: tuple[bytes, ...] = (MARK,)
    """Texts that neither a stored photo nor its thumbnail may contain."""

    @property
    def is_accepted(self) -> bool:
        return self.upright_px is not None

    @property
    def claimed_type(self) -> str:
        return CLAIMED_TYPES.get(PurePath(self.name).suffix, "application/octet-stream")


@dataclass(frozen=True, slots=True)
class HostileCorpus:
    """Hostile files of one origin."""

    origin: str
    files: tuple[HostileFile, ...] = field(repr=False)
    names: tuple[bytes, ...] = field(repr=False)
    """File names to upload a photo with, encoded as UTF-8."""
    right_share: float = 1.0
    """The minimum share of files whose result, size and colours must be right."""


def accepted(
    category: str,
    name: str,
    data: bytes,
    colours: Quarters | None = COLOURS,
    size_px: tuple[int, int] = SIZE_PX,
) -> HostileFile:
    return HostileFile(name, category, data, size_px, colours)


class Accepted(Protocol):
    def __call__(
        self,
        name: str,
        data: bytes,
        colours: Quarters | None = COLOURS,
        size_px: tuple[int, int] = SIZE_PX,
    ) -> HostileFile: ...


def accepted_as(category: str, suffix: str = "") -> Accepted:
    """Return ``accepted`` for one category; ``suffix`` is appended to each name."""
    return lambda name, data, colours=COLOURS, size_px=SIZE_PX: accepted(
        category, name + suffix, data, colours, size_px
    )


def refused(category: str, files: Iterable[tuple[str, bytes]]) -> list[HostileFile]:
    return [HostileFile(name, category, data) for name, data in files]
