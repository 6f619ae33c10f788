"""The journal of an import: the files that are done, so that a stopped import can be resumed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from catloader.errors import CatLoaderError
from catloader.transfer.sources import SourceFile


class ImportRunning(CatLoaderError):
    """The same import runs already."""


class Journal:
    """A file with a line for each file that is done. An incomplete line of a killed import is ignored.

    It is locked while it is open: two runs of one import would store each photo twice.
    Memory: about 100 bytes for each file, the digest and its entry in a set.
    """

    def __init__(self, folder: Path, source: str, owner_id: int, *, resume: bool) -> None:
        """Open the journal, and empty it unless ``resume`` is set.

        Args:
            folder: of all journals; made if it is missing.
        Raises:
            ImportRunning: another process has opened the journal.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.sha256(f"{owner_id} {source}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = folder / f"{name}.jsonl"
        self._file = _locked(self._path, source)
        self._done = set(_lines(self._path)) if resume else set()
        if resume:
            self._file.write("\n")  # ends an incomplete line
        else:
            self._file.truncate(0)

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


def _locked(path: Path, source: str) -> TextIO:
    while True:
        file = path.open("a", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ImportRunning(
                f"An import of {source} for this account is running; wait until it ends."
            ) from None
        except OSError:  # the file system has no locks
            pass
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # another run finished, and removed the journal before it was locked


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
