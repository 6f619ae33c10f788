"""The output of the folder tool: rows, table, CSV, JSON and summary."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import skimage

from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.evaluation.photos import WILD_FELINE
from checker.folder import report
from checker.folder.walk import check_files, walk
from checker.pipeline import LoadedModel
from checker.values import Label, Reason, Rendition, Verdict
from models.catalogue import class_names
from tests.support.photo_sets import OWN_PHOTOS, PhotoSet

PHOTOS = Path(skimage.__file__).parent / "data"
WILD = {"lynx", "tiger"}


def _rows(loaded: LoadedModel, rule: ThresholdRule, *paths: Path | str) -> list[report.Row]:
    checks = check_files(walk(map(str, paths)), loaded, workers=2, batch_photos=2)
    return [report.row(checked, loaded.classifier.model_info, rule) for checked in checks]


def test_fields_of_a_row_describe_file_and_decision(
    tmp_path: Path, loaded: LoadedModel, rule: ThresholdRule
) -> None:
    (tmp_path / "broken.jpg").write_text("not a photo")
    cat, broken = _rows(loaded, rule, PHOTOS / "chelsea.png", tmp_path / "broken.jpg")
    assert set(cat) == set(broken) == {
        "path", "verdict", "score", "subject", "wild_feline", "reason", "calibrated", "profile", "model",
        "runtime", "precision", "device", "cat_at", "soft_cat_at", "not_cat_below", "labels", "ms", "error",
        "turned_deg",
    }  # fmt: skip
    assert (cat["verdict"], cat["error"], cat["subject"]) == ("cat", None, "house_cat")
    assert (cat["calibrated"], cat["profile"]) == (False, "uncalibrated")
    assert (cat["model"], cat["runtime"], cat["precision"], cat["device"]) == (
        "efficientnet_lite0",
        "torch",
        "fp32",
        "cpu",
    )
    at = rule.thresholds
    assert (cat["cat_at"], cat["soft_cat_at"], cat["not_cat_below"]) == tuple(
        pytest.approx(one, abs=1e-6) for one in (at.cat_at, at.soft_cat_at, at.not_cat_below)
    )
    assert 0.5 < cat["score"] <= 1
    assert cat["ms"] > 0
    confidences = [label["confidence"] for label in cat["labels"]]
    assert len(confidences) == 5
    assert confidences == sorted(confidences, reverse=True)
    assert "cat" in cat["labels"][0]["name"]
    assert (broken["verdict"], broken["score"], broken["labels"]) == ("unreadable", None, [])
    assert (cat["turned_deg"], broken["turned_deg"]) == (0, None)
    assert broken["error"]


def test_names_of_any_bytes_give_one_valid_line(
    tmp_path: Path, loaded: LoadedModel, rule: ThresholdRule
) -> None:
    names = [b"new\nline.jpg", b"latin\xe9.jpg", 'snow ☃, "q".jpg'.encode(), b"\x1b[31mred.jpg", b"tab\t.jpg"]
    for name in names:
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    rows = _rows(loaded, rule, tmp_path)
    assert len(rows) == len(names)
    lines = [report.json_line(row).encode("utf-8") for row in rows]  # strictly: without surrogates
    parsed = [json.loads(line) for line in lines]
    assert all(line.count(b"\n") == 1 for line in lines)
    shown = {Path(row["path"]).name for row in parsed}
    assert shown == {
        "new\nline.jpg",
        "latin\ufffd.jpg",
        'snow ☃, "q".jpg',
        "\x1b[31mred.jpg",
        "tab\t.jpg",
    }
    (odd,) = [row for row in parsed if "path_base64" in row]
    assert odd["path"].endswith("latin\ufffd.jpg")
    table = "".join(report.csv_line(row) for row in rows)
    assert {Path(row[0]).name for row in csv.reader(io.StringIO(table))} == shown
    for row in rows:
        line = report.table_line(row, wild=WILD)
        assert line.endswith("\n")
        assert line[:-1].isprintable()


def test_table_and_csv_mark_wild_felines_and_uncalibrated_verdicts(
    loaded: LoadedModel, rule: ThresholdRule, photo_set: PhotoSet
) -> None:
    wild = [*OWN_PHOTOS.files(WILD_FELINE), *photo_set.files(WILD_FELINE)]
    rows = _rows(loaded, rule, *wild)
    felines = [row for row in rows if row["wild_feline"]]
    assert len(felines) > len(wild) // 2
    assert not any(row["verdict"] == "cat" for row in felines)
    assert all("wild feline" in report.table_line(row, wild=WILD) for row in felines)
    (line,) = csv.DictReader(io.StringIO(report.csv_header() + report.csv_line(felines[0])))
    assert (line["wild_feline"], line["calibrated"], line["profile"]) == ("True", "False", "uncalibrated")
    assert "uncalibrated" in report.table_header(loaded.classifier.model_info, rule)
    assert "uncalibrated" in report.summary(Counter({"cat": 2}), 1.0, rule)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.WILD_FELINE, "wild feline"),
        (Reason.LOW_DETAIL, "little detail: "),
        (Reason.DRAWN, "a drawing: "),
        (Reason.NO_LABEL, "no matching label: "),
    ],
)
def test_all_outputs_give_the_reason_for_unsure_despite_a_high_score(
    reason: Reason, words: str, loaded: LoadedModel, rule: ThresholdRule
) -> None:
    (checked,) = check_files(walk([str(PHOTOS / "chelsea.png")]), loaded, workers=1, batch_photos=1)
    assert checked.outcome is not None
    assert checked.outcome.decision is not None
    decision = dataclasses.replace(
        checked.outcome.decision,
        verdict=Verdict.UNSURE,
        reason=reason,
        wild_feline=reason is Reason.WILD_FELINE,
    )
    checked = dataclasses.replace(checked, outcome=dataclasses.replace(checked.outcome, decision=decision))
    row = report.row(checked, loaded.classifier.model_info, rule)
    assert json.loads(report.json_line(row))["reason"] == reason
    (line,) = csv.DictReader(io.StringIO(report.csv_header() + report.csv_line(row)))
    assert (line["verdict"], line["reason"]) == ("unsure", reason)
    assert words in report.table_line(row, wild=WILD)


@pytest.mark.parametrize(
    ("reason", "confidence", "words"),
    [
        (None, 0.7, "tabby 70%, rotated"),
        (None, 0.1, "rotated"),
        (Reason.DRAWN, 0.7, "a drawing: tabby 70%, rotated"),
    ],
)
def test_all_outputs_name_photos_that_were_rotated_to_be_judged(
    reason: Reason | None, confidence: float, words: str, loaded: LoadedModel, rule: ThresholdRule
) -> None:
    (checked,) = check_files(walk([str(PHOTOS / "chelsea.png")]), loaded, workers=1, batch_photos=1)
    assert checked.outcome is not None
    assert checked.outcome.decision is not None
    decision = dataclasses.replace(
        checked.outcome.decision,
        reason=reason,
        turned_deg=270,
        labels=dict.fromkeys(Rendition, (Label(281, "tabby", confidence),)),
    )
    checked = dataclasses.replace(checked, outcome=dataclasses.replace(checked.outcome, decision=decision))
    row = report.row(checked, loaded.classifier.model_info, rule)
    assert json.loads(report.json_line(row))["turned_deg"] == 270
    (line,) = csv.DictReader(io.StringIO(report.csv_header() + report.csv_line(row)))
    assert list(line.items())[-1] == ("turned_deg", "270")
    assert f"  {words}  " in report.table_line(row, wild=WILD)


def test_the_summary_contains_the_counts(rule: ThresholdRule) -> None:
    counts = Counter({"unreadable": 1, "cat": 2})
    assert (
        report.summary(counts, 1.5, rule)
        == "3 files: 2 cat, 1 unreadable (uncalibrated); 1.5 s, 2 a second\n"
    )
    assert report.summary(counts, 9.0, rule).endswith("; 9.0 s, 0.33 a second\n")
    assert report.summary(counts, 0.02, rule).endswith("; 0.0 s, 150 a second\n")
    assert report.summary(Counter(), 1.5, rule) == "No photos found.\n"
    assert report.summary(Counter(), 1.5, rule, known=5) == "No new photos found.\n"


def test_a_dog_is_called_dog_if_dogs_are_the_subject(rule: ThresholdRule) -> None:
    assert [report.subject_verdict(verdict, "house_cat") for verdict in Verdict] == list(Verdict)
    words = [report.subject_verdict(verdict, "dog") for verdict in Verdict]
    assert words == ["dog", "unsure", "not_dog", "unreadable"]
    dogs = ThresholdRule(load_subject("dog"), class_names())
    assert report.summary(Counter({"cat": 2, "not_cat": 1}), 1, dogs).startswith(
        "3 files: 2 dog, 1 not_dog ("
    )


ROW: report.Row = {
    "path": "a.jpg",
    "verdict": "cat",
    "score": 0.9931,
    "subject": "house_cat",
    "wild_feline": False,
    "reason": None,
    "turned_deg": 0,
    "labels": [{"name": "tabby", "confidence": 0.2}],
    "error": None,
}


@pytest.mark.parametrize(
    ("labels", "wild", "label"),
    [
        ({"tabby": 0.2}, False, "tabby 20%"),
        ({"tabby": 0.19}, False, "-"),
        ({"lynx": 0.2}, True, "wild feline: lynx 20%"),
        ({"lynx": 0.19}, True, "wild feline"),
        ({"tiger cat": 0.4, "tiger": 0.3, "lynx": 0.2}, True, "wild feline: tiger 30%"),
        ({"tabby": 0.4}, True, "wild feline"),
    ],
)
def test_the_table_shows_a_label_of_20_percent_that_agrees_with_the_reason(
    labels: dict[str, float], wild: bool, label: str
) -> None:
    named = [{"name": name, "confidence": confidence} for name, confidence in labels.items()]
    row = {**ROW, "wild_feline": wild, "labels": named}
    assert report.table_line(row, wild=WILD) == f"cat         0.993  {label:<34} a.jpg\n"


def test_verdicts_are_coloured_on_a_terminal_only() -> None:
    assert report.table_line(ROW, wild=WILD, colour=True).startswith(
        "\x1b[32mcat        \x1b[0m 0.993  tabby 20%"
    )
    assert "\x1b" not in report.table_line(ROW, wild=WILD)
    assert "\x1b" not in report.table_line({**ROW, "verdict": "not_cat"}, wild=WILD, colour=True).replace(
        "\x1b[0m", ""
    )


def test_the_reason_against_a_faster_variant_is_a_separate_line() -> None:
    assert report.slower_line("It is not made yet.") == "It is not made yet.\n"
    assert report.slower_line("") == ""
