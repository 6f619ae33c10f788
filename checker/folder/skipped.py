"""Counts of the files that the folder tool skips, for the last line of its output."""

from __future__ import annotations

import os
from collections import Counter

from checker.folder.walk import is_hidden
from checker.plurals import counted

_ENDINGS = 5
"""Number of endings that are listed; files with other endings are counted together."""


class Skipped:
    """Counts skipped files. Not thread-safe; memory does not grow with the number of files of one ending."""

    def __init__(self) -> None:
        self._endings: Counter[str] = Counter()
        self._hidden = self._links = 0
        self.known = 0
        """Files that an earlier run checked."""

    def add(self, path: str) -> None:
        """Count a path that ``walk`` skipped."""
        name = os.path.basename(path)  # noqa: PTH119 - as in walk: a Path for each file costs more
        if is_hidden(name):
            self._hidden += 1
        elif os.path.isdir(path):  # noqa: PTH112 - as above
            self._links += 1
        else:
            self._endings[os.path.splitext(name)[1].lower()] += 1  # noqa: PTH122 - as above

    def line(self) -> str:
        """Return one line, or an empty string if nothing was skipped."""
        parts = []
        if self._endings:
            files = counted(self._endings.total(), "file that is not a photo", "files that are not photos")
            parts.append(f"{files} ({', '.join(self._listed_endings())})")
        if self._hidden:
            parts.append(counted(self._hidden, "hidden file or folder", "hidden files or folders"))
        if self._links:
            parts.append(counted(self._links, "link to a folder", "links to folders"))
        if self.known:
            parts.append(counted(self.known, "file of an earlier run", "files of an earlier run"))
        return f"Skipped: {', '.join(parts)}\n" if parts else ""

    def _listed_endings(self) -> list[str]:
        most_common = self._endings.most_common(_ENDINGS)
        words = [f"{count} {_printable(ending) or 'without an ending'}" for ending, count in most_common]
        rest = self._endings.total() - sum(count for _, count in most_common)
        return [*words, f"{rest} others"] if rest else words


def _printable(ending: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in ending)
