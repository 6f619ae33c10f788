"""The files in which the processes of a command keep their metrics, on a disk that may be full."""

from __future__ import annotations

import io
import mmap
import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

_FIRST_BYTES = 64 * 1024


class _AllocatedFile(MmapedDict):
    """A file whose space is allocated before it is used.

    The library maps sparse files, so on a full disk the first write into a hole ends the process (SIGBUS).
    Without disk space, or without a free file descriptor, the numbers of this process stay in its memory
    until it ends, and ``/metrics`` lacks them or shows old ones.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        with suppress(OSError), Path(filename).open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _FIRST_BYTES)
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
            return
        with suppress(OSError):
            Path(filename).unlink()  # an empty file can't be read
        self._f = io.BytesIO()
        self._m, self._capacity = mmap.mmap(-1, _FIRST_BYTES), _FIRST_BYTES
        self._positions: dict[str, int] = {}
        self._used = 8  # the file's head

    def _init_value(self, key: str) -> None:
        while self._used + 2 * len(key.encode()) + 64 > self._capacity:
            self._double()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _double(self) -> None:
        doubled = 2 * self._capacity
        try:
            os.posix_fallocate(self._f.fileno(), 0, doubled)
            memory = mmap.mmap(self._f.fileno(), doubled)
        except OSError:
            memory = mmap.mmap(-1, doubled)
            memory[: self._capacity] = self._m[:]
            self._f.close()
            self._f = io.BytesIO()  # has no descriptor, so the next call also allocates memory
        self._m, self._capacity = memory, doubled


def share_metrics(folder: str) -> None:
    """Keep all metrics that are made from now on in files in ``folder``."""
    # The library chooses its value class at import, before this variable is set: replace the class.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    vars(values)["MmapedDict"] = _AllocatedFile
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
