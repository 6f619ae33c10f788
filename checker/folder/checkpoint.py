"""The file of ``--resume``: the ``--json`` lines of all verdicts so far, from which the next run continues.

Files without a verdict are not in it, so that each run tries them again: a disk may have been away, or a file
not yet copied completely. Lines about such files, which earlier versions wrote, are ignored.
Memory: about 150 bytes plus its path for each file that was checked.
"""

from __future__ import annotations

import base64
import codecs
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checker.errors import CheckerError
from checker.folder.report import Row, json_line
from checker.values import Verdict

_SAME = ("model", "runtime", "precision", "profile", "subject")
"""Fields that must be equal to those of this run, so that a file never mixes the verdicts of two models."""
_THRESHOLDS = ("cat_at", "soft_cat_at", "not_cat_below")
"""Fields that must also be equal, except that lines of earlier versions lack some of them. Two pairs of rates
may differ only in the threshold of soft photos."""
_START, _AFTER_PATH = b'{"path": "', b'", "verdict": "'
_PATH = re.compile(rb'\{"path": "(?:[^"\\]|\\.)*(?=")')
_INCOMPLETE = re.compile(r"[\w.\\-]{0,6}")
"""The rest of a text that ends within a word, a number or an escape."""


def variant_in(path: Path, subject: str) -> tuple[str, str, str] | None:
    """Return model, runtime and precision of the first line; None if it is missing or of another subject.

    ``Checkpoint`` refuses a file of another kind.
    """
    try:
        with path.open("rb") as file:
            row = json.loads(file.readline())
        variant = str(row["model"]), str(row["runtime"]), str(row["precision"])
        return variant if row["subject"] == subject else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


class CannotResume(CheckerError):
    """The file does not contain ``--json`` lines, is from a run with another model, or is in use."""


class Checkpoint:
    """A file of ``--json`` lines that grows. Not thread-safe; one process at a time."""

    def __init__(self, path: Path, run: dict[str, Any], *, rotates: bool = False) -> None:
        """Read the lines of earlier runs; remove a line that was cut off when a run was killed.

        Args:
            run: the fields that all rows of this run share.
            rotates: True: the model judges turned photos upright, which earlier versions did not.
        Raises:
            CannotResume: the file is something else, is from a run with another model or an earlier version,
                or is in use.
            OSError: the file can't be read or written.
        """
        self._path = path
        self._run = {field: run[field] for field in (*_SAME, *_THRESHOLDS)}
        self._rotates = rotates
        self._paths: set[bytes] = set()
        self._file = path.open("a+b")
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __contains__(self, path: str) -> bool:
        return os.fsencode(path) in self._paths

    def rows(self) -> Iterator[Row]:
        """Yield the verdicts of all runs so far."""
        self._file.flush()
        with self._path.open("rb") as file:
            yield from filter(_has_verdict, map(json.loads, file))

    def add(self, row: Row) -> None:
        """Append a row; it is in the file when this returns."""
        self._file.write(json_line(row).encode("utf-8"))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _lock(self) -> None:
        """Lock other runs out: removing a cut-off line, they would also remove rows that this run appends."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotResume(
                f"{self._path} is in use by another run: wait for its end, or choose another file."
            ) from None
        except OSError:
            pass  # the file system does not support locks

    def _read(self) -> None:
        """Read the paths of all complete lines; remove a line that was cut off; add a missing line end."""
        complete_bytes = 0
        line = b""
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and _is_cut_off(line):
                self._file.truncate(complete_bytes)
                return
            if (path := self._path_in(line, number)) is not None:
                self._paths.add(path)
            complete_bytes += len(line)
        if line and not line.endswith(b"\n"):
            self._file.write(b"\n")
            self._file.flush()

    def _path_in(self, line: bytes, number: int) -> bytes | None:
        try:
            row: Row = json.loads(line)
            run = {field: row[field] for field in _SAME}
            run |= {field: row.get(field, self._run[field]) for field in _THRESHOLDS}
            _examine_result(row)
            path = _path_of(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._other_file(number) from None
        if run != self._run:
            raise CannotResume(
                f"{self._path} has verdicts of {_shown(run)}, and this run would use {_shown(self._run)}: "
                "choose another file."
            )
        if self._rotates and "turned_deg" not in row:
            raise CannotResume(
                f"{self._path}, line {number}, is of an earlier version, which judged turned photos as they "
                "lie. This version judges them upright: choose another file."
            )
        return path if _has_verdict(row) else None

    def _other_file(self, number: int) -> CannotResume:
        return CannotResume(
            f"{self._path}, line {number}, is not a line of --json output: choose another file for --resume."
        )


def _shown(run: dict[str, Any]) -> str:
    return (
        f"{run['model']} ({run['runtime']} {run['precision']}, profile {run['profile']}, "
        f"subject {run['subject']}, cat from {run['cat_at']}, {run['soft_cat_at']} if soft, "
        f"not_cat below {run['not_cat_below']})"
    )


def _is_cut_off(line: bytes) -> bool:
    """Return True if this is the beginning of a row, as a killed run leaves it; a complete object is none."""
    path = _PATH.match(line)
    fields = line[path.end() :] if path else b""
    if line[: len(_START)] != _START[: len(line)] or fields[: len(_AFTER_PATH)] != _AFTER_PATH[: len(fields)]:
        return False
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(line)  # its last character may be incomplete
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return False
        return error.msg.startswith("Unterminated string") or bool(_INCOMPLETE.fullmatch(text, error.pos))
    except (UnicodeDecodeError, RecursionError):
        pass
    return False


def _examine_result(row: Row) -> None:
    """Raise ``ValueError`` if the fields that ``--megadetector`` reads are not those of a result."""
    if not (isinstance(row["path"], str) and row["path"].encode()):
        raise ValueError(row["path"])
    if Verdict(row["verdict"]) is Verdict.UNREADABLE and row["score"] is None:
        return
    if not (isinstance(row["score"], int | float) and 0 <= row["score"] <= 1):
        raise ValueError(row["score"])


def _has_verdict(row: Row) -> bool:
    return bool(row["verdict"] != Verdict.UNREADABLE)


def _path_of(row: Row) -> bytes:
    if "path_base64" in row:
        return base64.b64decode(row["path_base64"])
    return os.fsencode(row["path"])
