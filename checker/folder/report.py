"""How the folder tool tells its verdicts: a table, CSV, or JSON, one line for each file; and its progress."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TextIO

from checker.decision.operating_point import UNCALIBRATED, ThresholdRule
from checker.folder.arguments import printable
from checker.folder.walk import Checked
from checker.values import ModelInfo, Rendition, Verdict

Row = dict[str, Any]
Writer = Callable[[Row], str]

CSV_COLUMNS = (
    "path", "verdict", "score", "label", "confidence", "wild_feline", "calibrated", "subject", "model",
    "runtime", "profile", "ms", "error",
)  # fmt: skip
_SURROGATE = re.compile("[\ud800-\udfff]")
_TABLE = "{:<11} {:>5}  {:<34} {}"


def row(checked: Checked, model_info: ModelInfo, rule: ThresholdRule) -> Row:
    """The fields of ``--json``; docs/checker.md says what they mean."""
    outcome = checked.outcome
    decision = outcome.decision if outcome else None
    path = checked.found.path
    fields: Row = {
        "path": as_text(path),
        "verdict": str(decision.verdict if decision else Verdict.UNREADABLE),
        "score": round(decision.score, 6) if decision else None,
        "subject": rule.subject.name,
        "wild_feline": bool(decision and decision.wild_feline),
        "calibrated": rule.profile_id != UNCALIBRATED,
        "profile": rule.profile_id,
        "model": model_info.model,
        "runtime": model_info.runtime,
        "precision": model_info.precision,
        "device": model_info.device,
        "labels": [
            {"name": label.name, "confidence": round(label.confidence, 6)}
            for label in (decision.labels[Rendition.PHOTO] if decision else ())
        ],
        "ms": outcome.ms["total"] if outcome else None,
        "error": outcome.error if outcome else checked.found.error,
    }
    if fields["path"] != path:
        fields["path_base64"] = base64.b64encode(os.fsencode(path)).decode("ascii")
    return fields


def as_text(path: str) -> str:
    """A path any reader of UTF-8 takes: what is no UTF-8 in it becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", path)


def json_line(fields: Row) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def csv_line(fields: Row) -> str:
    top = fields["labels"][0] if fields["labels"] else {"name": None, "confidence": None}
    values = {**fields, "label": top["name"], "confidence": top["confidence"]}
    return _csv([values[column] for column in CSV_COLUMNS])


def csv_header() -> str:
    return _csv(CSV_COLUMNS)


class _Line:
    """What csv wants of a file."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _csv(values: Any) -> str:
    line = _Line()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.text


def table_line(fields: Row) -> str:
    verdict = worded(fields["verdict"], fields["subject"])
    score = "" if fields["score"] is None else f"{fields['score']:.3f}"
    path = printable(fields["path"])
    if fields["error"]:
        return _TABLE.format(verdict, score, "-", f"{path}: {printable(fields['error'])}") + "\n"
    top = fields["labels"][0]
    label = f"{top['name']} {top['confidence']:.0%}"
    if fields["wild_feline"]:
        label = f"wild feline: {label}"
    return _TABLE.format(verdict, score, label, path) + "\n"


def worded(verdict: str, subject: str) -> str:
    """For people: a found dog is no cat."""
    return verdict if subject == "house_cat" else verdict.replace("cat", subject)


def table_header(model_info: ModelInfo, rule: ThresholdRule) -> str:
    how = f"{model_info.model}, {model_info.runtime} {model_info.precision} on {model_info.device}"
    subject = f"subject {rule.subject.name}, {rule.profile_id}"
    return f"# {how}; {subject}\n" + _TABLE.format("VERDICT", "SCORE", "LOOKS LIKE", "PATH") + "\n"


def summary(verdicts: Counter[str], seconds: float, rule: ThresholdRule) -> str:
    files = verdicts.total()
    if not files:
        return "No pictures found.\n"
    words = ", ".join(
        f"{verdicts[verdict]} {worded(verdict, rule.subject.name)}"
        for verdict in Verdict
        if verdicts[verdict]
    )
    mark = " (uncalibrated)" if rule.profile_id == UNCALIBRATED else ""
    s = "" if files == 1 else "s"
    return f"{files} file{s}: {words}{mark}; {seconds:.1f} s, {files / max(seconds, 1e-3):.0f} a second\n"


class Progress:
    """One line at the bottom of a terminal, redrawn ten times a second at most. Elsewhere nothing."""

    def __init__(self, stream: TextIO, total: Callable[[], int | None]) -> None:
        self._stream, self._total = stream, total
        self._on, self._visible = stream.isatty(), False
        self._started_s = time.monotonic()
        self._drawn_s = 0.0

    def show(self, done: int) -> None:
        now_s = time.monotonic()
        if not self._on or now_s - self._drawn_s < 0.1:
            return
        self._drawn_s = now_s
        total, rate = self._total(), done / max(now_s - self._started_s, 1e-3)
        text = f"{done} checked, {rate:.0f}/s"
        if total and done:
            bar = "#" * (20 * min(done, total) // total)
            minutes, seconds = divmod(int(max(total - done, 0) / rate), 60)
            text = f"[{bar:<20}] {done}/{total}, {rate:.0f}/s, {minutes}:{seconds:02} left"
        self._draw(text[: shutil.get_terminal_size().columns - 1])

    def note(self, text: str) -> None:
        if self._on:
            self._draw(text)

    def clear(self) -> None:
        if self._visible:
            self._draw("")

    def _draw(self, text: str) -> None:
        self._stream.write("\r\x1b[K" + text)
        self._stream.flush()
        self._visible = bool(text)
