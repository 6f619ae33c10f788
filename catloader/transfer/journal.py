"""The journal of an import: the files that are done, so that a stopped import can be resumed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from catloader.transfer.sources import SourceFile


class Journal:
    """A file with a line for each file that is done. An incomplete line of a killed import is ignored.

    Memory: about 100 bytes for each file, the digest and its entry in a set.
    """

    def __init__(self, folder: Path, source: str, owner_id: int, *, resume: bool) -> None:
        """Open the journal, and empty it unless ``resume`` is set.

        Args:
            folder: of all journals; made if it is missing.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.sha256(f"{owner_id} {source}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = folder / f"{name}.jsonl"
        self._done = set(_lines(self._path)) if resume else set()
        self._file = self._path.open("a" if resume else "w", encoding="ascii")
        if resume:
            self._file.write("\n")  # ends an incomplete line

    def has(self, file: SourceFile) -> bool:
        return _mark(file) in self._done

    def add(self, file: SourceFile) -> None:
        self._file.write(json.dumps(_mark(file)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Remove the journal of a finished import."""
        self._path.unlink(missing_ok=True)


def _mark(file: SourceFile) -> str:
    text = f"{file.name}\n{file.version}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _lines(path: Path) -> list[str]:
    marks = []
    for line in path.read_text("ascii", "replace").splitlines() if path.exists() else ():
        try:
            marks.append(str(json.loads(line)))
        except ValueError:
            continue
    return marks
