"""The files that the folder tool writes in addition to its output: ``--resume`` and ``--megadetector``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checker.decision.operating_point import ThresholdRule
from checker.decision.orientation import VERSION
from checker.folder.arguments import CheckOptions
from checker.folder.checkpoint import Checkpoint
from checker.folder.megadetector import BatchResults
from checker.folder.report import Row, run_fields
from checker.folder.skipped import Skipped
from checker.folder.walk import WalkedFile
from checker.values import ModelInfo, Verdict


class Records:
    """Writes the requested files: neither, one or both. Not thread-safe."""

    def __init__(self, options: CheckOptions, model_info: ModelInfo, rule: ThresholdRule) -> None:
        """Open the requested files.

        Raises:
            CannotResume, OSError: see ``Checkpoint`` and ``BatchResults``.
        """
        self._checkpoint = self._results = None
        if options.resume is not None:
            rotates = VERSION in model_info.versions
            self._checkpoint = Checkpoint(options.resume, run_fields(model_info, rule), rotates=rotates)
        if options.megadetector is not None:
            self._results = BatchResults(options.megadetector, options.paths, model_info, rule)
            try:
                for row in self._checkpoint.rows() if self._checkpoint else ():
                    self._results.add(row)
            except BaseException:
                self._results.discard()
                raise

    def new(self, files: Iterable[WalkedFile], skipped: Skipped) -> Iterator[WalkedFile]:
        """Yield the files without a verdict of an earlier run; count the others."""
        for file in files:
            if self._checkpoint is not None and file.path in self._checkpoint:
                skipped.known += 1
            else:
                yield file

    def add(self, row: Row) -> None:
        """Write a row to each file; the checkpoint takes only verdicts, so that failures are tried again."""
        if self._checkpoint is not None and row["verdict"] != Verdict.UNREADABLE:
            self._checkpoint.add(row)
        if self._results is not None:
            self._results.add(row)

    def close(self) -> None:
        """Complete the files."""
        try:
            if self._checkpoint is not None:
                self._checkpoint.close()  # raises on a full disk
        finally:
            if self._results is not None:
                self._results.close()
