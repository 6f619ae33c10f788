"""Search for files by names that were written on another system.

Windows separates folders by backslashes and ignores case, macOS decomposes accented letters, old systems use
other encodings than UTF-8, and reports escape bytes that are not UTF-8.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from checker.evaluation.photos import in_utf8


class FileNames:
    """Finds files below one folder. Each folder is listed only once: once per name would take hours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listed: dict[str, dict[str, str | None]] = {}

    def find(self, name: str) -> str | None:
        """Return the path of the file with this name or, if there is exactly one, with a similar name.

        Args:
            name: relative to the folder, or absolute.
        """
        path = str(self._folder / name)
        if _is_file(path):
            return path
        for separated in dict.fromkeys((name, name.replace("\\", "/"))):
            path = str(self._folder / separated)
            similar = path if _is_file(path) else self._similar(separated)
            if similar is not None and _is_file(similar):
                return similar
        return None

    def _similar(self, name: str) -> str | None:
        """Follow a name from folder to folder; None if an entry is missing or ambiguous."""
        if Path(name).is_absolute():
            return None
        path = str(self._folder)
        for part in Path(name).parts:
            entry = part if part == ".." else self._entries(path).get(_plain(part))
            if entry is None:
                return None
            path = str(Path(path, entry))
        return path

    def _entries(self, folder: str) -> dict[str, str | None]:
        """Return the entries of a folder by their plain names; None if two entries have the same one."""
        if folder not in self._listed:
            listed: dict[str, str | None] = {}
            for entry in Path(folder).iterdir() if Path(folder).is_dir() else ():
                for plain in set(map(_plain, _spellings(entry.name))):
                    listed[plain] = None if plain in listed else entry.name
            self._listed[folder] = listed
        return self._listed[folder]


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - is_file() raises for a name that is too long


def _spellings(entry: str) -> Iterator[str]:
    """Yield an entry's name as tables may spell it: bytes that are not UTF-8 are escaped, or decoded."""
    yield in_utf8(entry)
    yield os.fsencode(entry).decode("cp1252", "replace") if in_utf8(entry) != entry else entry


def _plain(name: str) -> str:
    """Remove differences of case and Unicode composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
