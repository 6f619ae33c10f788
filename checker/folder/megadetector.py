"""MegaDetector's batch output format 1.4, which Timelapse and other camera-trap programs open.

https://lila.science/megadetector-output-format: one JSON object with the images, their detections and the
meaning of the categories. The Cat Checker judges whole photos, so a detection's box is the whole photo, its
confidence the score, and its only category the subject.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from checker.decision.operating_point import ThresholdRule
from checker.folder.report import Row, subject_verdict
from checker.values import ModelInfo, Verdict

FORMAT_VERSION = "1.4"
LOWEST_CONFIDENCE = 0.005
"""A lower score does not count as a detection, as in MegaDetector's own files."""
_CATEGORY = "1"
_DIGITS = 6
_STEP = 1e-6
_WHOLE_PHOTO = (0.0, 0.0, 1.0, 1.0)
"""Left, top, width and height, as shares of the photo's."""


class BatchResults:
    """A results file that is written photo by photo; it appears under its name once it is complete."""

    def __init__(self, path: Path, paths: Sequence[str], model_info: ModelInfo, rule: ThresholdRule) -> None:
        """Begin the file.

        Args:
            paths: the paths that the user named. The file names photos relative to the folder, or to the
                folder that all paths share.
        Raises:
            OSError: the file can't be written.
        """
        self._path = path
        self._folder = _common_folder(paths)
        self._model_info, self._rule = model_info, rule
        self._cat_at = _rounded_down(rule.thresholds.cat_at)
        self._below_cat_at = round(self._cat_at - _STEP, _DIGITS)
        # Other runs and the user's files have other names; the name is hidden, so that walks skip the file.
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._file = _locked(self._part)
        except OSError as error:
            error.filename = str(path)  # the name that the user knows
            raise
        self._file.write('{"images": [')
        self._separator = "\n"

    def add(self, row: Row) -> None:
        """Write one photo, from its row of ``--json``."""
        self._file.write(self._separator + json.dumps(self._image(row), ensure_ascii=False))
        self._separator = ",\n"

    def close(self) -> None:
        """Complete the file and move it to its name; remove it if it can't be written."""
        try:
            self._complete()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the unfinished file; a results file of an earlier run stays."""
        with contextlib.suppress(OSError):  # the rest of the buffer does not fit on a full disk
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _complete(self) -> None:
        rest = {
            "detection_categories": {_CATEGORY: subject_verdict(Verdict.CAT, self._rule.subject.name)},
            "info": self._info(),
        }
        self._file.write("\n], " + json.dumps(rest)[1:] + "\n")
        self._file.close()
        self._part.replace(self._path)

    def _image(self, row: Row) -> dict[str, Any]:
        file = os.path.relpath(row["path"], self._folder).replace(os.sep, "/")
        if row["score"] is None:
            return {"file": file, "failure": row["error"], "detections": None}
        confidence = self._confidence(row)
        detection = {"category": _CATEGORY, "conf": confidence, "bbox": _WHOLE_PHOTO}
        return {"file": file, "detections": [detection] if confidence >= LOWEST_CONFIDENCE else []}

    def _confidence(self, row: Row) -> float:
        """Return the score, moved to the side of the threshold that matches the verdict.

        A wild feline may have a high score without being a cat; programs see only the confidence.
        """
        score = float(row["score"])
        if row["verdict"] == Verdict.CAT:
            return score
        return min(score, self._below_cat_at)

    def _info(self) -> dict[str, Any]:
        info = self._model_info
        return {
            "format_version": FORMAT_VERSION,
            "detector": f"catloader-{info.model}-{info.runtime}-{info.precision}",
            "detection_completion_time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "detector_metadata": {
                "typical_detection_threshold": self._cat_at,
                # A wild feline is unsure even if the rates leave no band between the two thresholds.
                "conservative_detection_threshold": min(
                    _rounded_down(self._rule.thresholds.not_cat_below), self._below_cat_at
                ),
                "profile": self._rule.profile_id,
            },
        }


def _locked(part: Path) -> TextIO:
    """Open and lock a new file; remove unfinished files of the same results that killed runs have left."""
    name = part.with_suffix("").with_suffix("").name
    for other in part.parent.glob(f"{glob.escape(name)}.*.part"):
        with contextlib.suppress(OSError), other.open("r+") as file:  # in use, or locks are missing
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            other.unlink()
    while True:
        file = part.open("w", encoding="utf-8")
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if part.exists():
            return file
        file.close()  # another run removed the file before it was locked


def _rounded_down(threshold: float) -> float:
    """Round a threshold down, so that a score that reaches it still does after rounding."""
    return round(math.floor(threshold / _STEP) * _STEP, _DIGITS)


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that Timelapse opens: the named folder, or the folder that contains all paths."""
    folders = [path if os.path.isdir(path) else os.path.dirname(path) or "." for path in paths]  # noqa: PTH112, PTH120
    return os.path.commonpath([os.path.abspath(folder) for folder in folders])  # noqa: PTH100
