"""The folder tool's output: a table, CSV, or JSON, one line for each file; and the summary."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Collection
from typing import Any

import click

from checker.decision.operating_point import UNCALIBRATED, ThresholdRule
from checker.folder.arguments import printable
from checker.folder.walk import Checked
from checker.plurals import counted
from checker.values import ModelInfo, Reason, Rendition, Verdict

Row = dict[str, Any]

CSV_COLUMNS = (
    "path", "verdict", "score", "label", "confidence", "wild_feline", "calibrated", "subject", "model",
    "runtime", "profile", "ms", "error", "reason", "turned_deg",
)  # fmt: skip
MIN_LABEL_CONFIDENCE = 0.2
"""The table shows no label below this confidence: next to a clear verdict it would only confuse."""
_COLOURS = {Verdict.CAT: "green", Verdict.UNSURE: "yellow", Verdict.UNREADABLE: "red"}
_REASONS = {
    Reason.LOW_DETAIL: "little detail",
    Reason.DRAWN: "a drawing",
    Reason.NO_LABEL: "no matching label",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_TABLE = "{} {:>5}  {:<34} {}\n"
_VERDICT_WIDTH = 11


def row(checked: Checked, model_info: ModelInfo, rule: ThresholdRule) -> Row:
    """Collect the fields of ``--json``; docs/checker.md explains them."""
    outcome = checked.outcome
    decision = outcome.decision if outcome else None
    path = checked.file.path
    fields: Row = {
        "path": as_text(path),
        "verdict": str(decision.verdict if decision else Verdict.UNREADABLE),
        "score": round(decision.score, 6) if decision else None,
        "wild_feline": bool(decision and decision.wild_feline),
        "reason": str(decision.reason) if decision and decision.reason else None,
        "turned_deg": decision.turned_deg if decision else None,
        **run_fields(model_info, rule),
        "labels": [
            {"name": label.name, "confidence": round(label.confidence, 6)}
            for label in (decision.labels[Rendition.PHOTO] if decision else ())
        ],
        "ms": outcome.ms["total"] if outcome else None,
        "error": outcome.error if outcome else checked.file.error,
    }
    if fields["path"] != path:
        fields["path_base64"] = base64.b64encode(os.fsencode(path)).decode("ascii")
    return fields


def run_fields(model_info: ModelInfo, rule: ThresholdRule) -> Row:
    """Return the fields that all rows of a run share."""
    return {
        "subject": rule.subject.name,
        "calibrated": rule.profile_id != UNCALIBRATED,
        "profile": rule.profile_id,
        "model": model_info.model,
        "runtime": model_info.runtime,
        "precision": model_info.precision,
        "device": model_info.device,
        "cat_at": round(rule.thresholds.cat_at, 6),
        "soft_cat_at": round(rule.thresholds.soft_cat_at, 6),
        "not_cat_below": round(rule.thresholds.not_cat_below, 6),
    }


def as_text(path: str) -> str:
    """Make a path valid UTF-8: other bytes in it become U+FFFD."""
    return _SURROGATE.sub("\ufffd", path)


def json_line(fields: Row) -> str:
    return json.dumps(fields, ensure_ascii=False) + "\n"


def csv_line(fields: Row) -> str:
    top = fields["labels"][0] if fields["labels"] else {"name": None, "confidence": None}
    values = {**fields, "label": top["name"], "confidence": top["confidence"]}
    return _csv([values[column] for column in CSV_COLUMNS])


def csv_header() -> str:
    return _csv(CSV_COLUMNS)


def _csv(values: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def table_line(fields: Row, *, wild: Collection[str], colour: bool = False) -> str:
    """Return a line of the table; ``wild`` are the names of the subject's wild classes."""
    verdict = subject_verdict(fields["verdict"], fields["subject"]).ljust(_VERDICT_WIDTH)
    if colour:
        verdict = click.style(verdict, fg=_COLOURS.get(fields["verdict"]))
    score = "" if fields["score"] is None else f"{fields['score']:.3f}"
    path = printable(fields["path"])
    if fields["error"]:
        return _TABLE.format(verdict, score, "-", f"{path}: {printable(fields['error'])}")
    return _TABLE.format(verdict, score, _label(fields, wild), path)


def _label(fields: Row, wild: Collection[str]) -> str:
    labels = [one for one in fields["labels"] if not fields["wild_feline"] or one["name"] in wild]
    likely = [one for one in labels[:1] if one["confidence"] >= MIN_LABEL_CONFIDENCE]
    label = "".join(f"{one['name']} {one['confidence']:.0%}" for one in likely)
    reason = "wild feline" if fields["wild_feline"] else _REASONS.get(fields["reason"], "")
    looks_like = ": ".join(part for part in (reason, label) if part)
    return ", ".join(part for part in (looks_like, "rotated" if fields["turned_deg"] else "") if part) or "-"


def subject_verdict(verdict: str, subject: str) -> str:
    """Put the subject's name into a verdict: ``dog`` and ``not_dog`` if the subject is a dog."""
    return verdict if subject == "house_cat" else verdict.replace("cat", subject)


def table_header(model_info: ModelInfo, rule: ThresholdRule) -> str:
    model = f"{model_info.model}, {model_info.runtime} {model_info.precision} on {model_info.device}"
    columns = _TABLE.format("VERDICT".ljust(_VERDICT_WIDTH), "SCORE", "LOOKS LIKE", "PATH")
    return f"# {model}; subject {rule.subject.name}, {rule.profile_id}\n{columns}"


def summary(verdicts: Counter[str], seconds: float, rule: ThresholdRule, *, known: int = 0) -> str:
    """Summarise a run in one line.

    Args:
        known: number of files that an earlier run checked.
    """
    files = verdicts.total()
    if not files:
        return "No new photos found.\n" if known else "No photos found.\n"
    counts = ", ".join(
        f"{verdicts[verdict]} {subject_verdict(verdict, rule.subject.name)}"
        for verdict in Verdict
        if verdicts[verdict]
    )
    mark = " (uncalibrated)" if rule.profile_id == UNCALIBRATED else ""
    rate = files / max(seconds, 1e-3)
    per_second = f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"  # never "0 a second"
    return f"{counted(files, 'file')}: {counts}{mark}; {seconds:.1f} s, {per_second} a second\n"


def slower_line(why_not_faster: str) -> str:
    """Return a line that says why a faster variant was not used; empty if the fastest variant was."""
    return f"{why_not_faster}\n" if why_not_faster else ""
