"""Read hostile files from other authors: ``manifest.csv``, ``hostile_filenames.csv`` and ``files/``."""

from __future__ import annotations

import base64
import csv
from pathlib import Path

from tests.support.hostile.drawing import Quarters
from tests.support.hostile.file import HostileCorpus, HostileFile

_RIGHT_SHARE = 0.97
"""The expected results were written for other versions of the decoders, so a few may differ."""
_MARK = b"CATMARK"


def listed_corpus(folder: Path) -> HostileCorpus:
    with (folder / "manifest.csv").open(newline="") as manifest:
        files = tuple(_file(folder, row) for row in csv.DictReader(manifest))
    with (folder / "hostile_filenames.csv").open(newline="", encoding="utf-8") as table:
        names = tuple(base64.b64decode(row["name_utf8_base64"]) for row in csv.DictReader(table))
    return HostileCorpus(folder.name, files, names, _RIGHT_SHARE)


def _file(folder: Path, row: dict[str, str]) -> HostileFile:
    path = folder / row["file"]
    data = path.read_bytes()
    if row["expected"] != "accept":
        return HostileFile(path.name, row["category"], data, forbidden=(_MARK,))
    size_px = int(row["upright_width"]), int(row["upright_height"])
    return HostileFile(path.name, row["category"], data, size_px, _colours(row), (_MARK,))


def _colours(row: dict[str, str]) -> Quarters:
    quarters = (bytes.fromhex(colour) for colour in row["upright_quadrants"].split())
    return tuple((red, green, blue) for red, green, blue in quarters)
