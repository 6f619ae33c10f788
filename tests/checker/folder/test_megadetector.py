"""MegaDetector's batch output format 1.4, by the rules of its specification."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from checker.decision.operating_point import ThresholdRule, Thresholds
from checker.decision.subject import load_subject
from checker.folder.megadetector import LOWEST_CONFIDENCE, BatchResults
from checker.folder.report import Row
from checker.values import ModelInfo
from models.catalogue import class_names

INFO = ModelInfo("efficientnet_lite0", "00", "torch", "fp32", "cpu")
CAT_AT = 0.28542616774


@pytest.fixture
def thresholds(rule: ThresholdRule) -> ThresholdRule:
    return rule.with_thresholds(Thresholds(cat_at=CAT_AT, not_cat_below=0.1))


def row(path: Path, verdict: str, score: float | None) -> Row:
    return {"path": str(path), "verdict": verdict, "score": score, "error": None if score else "It is empty."}


def written(folder: Path, rule: ThresholdRule, rows: list[Row], paths: list[str] | None = None) -> Any:
    results = BatchResults(folder / "md.json", paths or [str(folder)], INFO, rule)
    for result in rows:
        results.add(result)
    results.close()
    return json.loads((folder / "md.json").read_text("utf-8"))


def test_the_file_has_the_parts_that_the_format_requires(tmp_path: Path, thresholds: ThresholdRule) -> None:
    content = written(tmp_path, thresholds, [row(tmp_path / "a" / "ü.jpg", "cat", 0.9)])
    assert set(content) == {"images", "detection_categories", "info"}
    assert content["info"]["format_version"] == "1.4"
    assert content["detection_categories"] == {"1": "cat"}
    assert content["images"] == [
        {"file": "a/ü.jpg", "detections": [{"category": "1", "conf": 0.9, "bbox": [0.0, 0.0, 1.0, 1.0]}]}
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "md.json"], "no half file is left"


def test_no_photos_are_an_empty_list(tmp_path: Path, thresholds: ThresholdRule) -> None:
    assert written(tmp_path, thresholds, [])["images"] == []


def test_a_low_score_is_not_a_detection_and_an_unreadable_file_is_a_failure(
    tmp_path: Path, thresholds: ThresholdRule
) -> None:
    rows = [
        row(tmp_path / "a.jpg", "not_cat", LOWEST_CONFIDENCE / 2),
        row(tmp_path / "b.jpg", "unreadable", None),
    ]
    assert written(tmp_path, thresholds, rows)["images"] == [
        {"file": "a.jpg", "detections": []},
        {"file": "b.jpg", "failure": "It is empty.", "detections": None},
    ]


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        ("cat", 0.99),
        ("cat", round(CAT_AT, 6)),  # --json rounds scores: this one may lie below the threshold
        ("unsure", 0.2),
        ("unsure", 0.99),  # a wild feline
        ("unsure", round(CAT_AT, 6)),
    ],
)
def test_the_typical_threshold_gives_the_verdicts_of_the_checker(
    tmp_path: Path, thresholds: ThresholdRule, verdict: str, score: float
) -> None:
    content = written(tmp_path, thresholds, [row(tmp_path / "a.jpg", verdict, score)])
    typical = content["info"]["detector_metadata"]["typical_detection_threshold"]
    (detection,) = content["images"][0]["detections"]
    assert (detection["conf"] >= typical) == (verdict == "cat")
    assert detection["conf"] == pytest.approx(score, abs=1.1e-6) or score > CAT_AT
    assert content["info"]["detector_metadata"]["conservative_detection_threshold"] == 0.1


def test_paths_are_relative_to_the_common_folder_of_the_named_ones(
    tmp_path: Path, thresholds: ThresholdRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/x.jpg", "b/c/y.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    rows = [row(Path("a/x.jpg"), "cat", 0.9), row(Path("b/c/y.jpg"), "cat", 0.9)]
    content = written(tmp_path, thresholds, rows, ["a/x.jpg", f"b{os.sep}c"])
    assert [image["file"] for image in content["images"]] == ["a/x.jpg", "b/c/y.jpg"]
    content = written(tmp_path, thresholds, rows[1:], ["b"])
    assert [image["file"] for image in content["images"]] == ["c/y.jpg"]


def test_the_category_is_the_subject(tmp_path: Path) -> None:
    dogs = ThresholdRule(load_subject("dog"), class_names())
    assert written(tmp_path, dogs, [])["detection_categories"] == {"1": "dog"}


def test_other_files_are_kept_and_an_incomplete_result_is_removed(
    tmp_path: Path, thresholds: ThresholdRule
) -> None:
    (tmp_path / "md.json.part").write_text("the user's own")
    written(tmp_path, thresholds, [])
    whole = (tmp_path / "md.json").read_text()
    assert (tmp_path / "md.json.part").read_text() == "the user's own"

    (tmp_path / "taken").mkdir()
    unwritten = BatchResults(tmp_path / "taken", [str(tmp_path)], INFO, thresholds)
    with pytest.raises(OSError, match="taken"):
        unwritten.close()
    BatchResults(tmp_path / "md.json", [str(tmp_path)], INFO, thresholds).discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["md.json", "md.json.part", "taken"]
    assert (tmp_path / "md.json").read_text() == whole


def test_files_of_runs_that_were_killed_are_removed(tmp_path: Path, thresholds: ThresholdRule) -> None:
    for name in (".md.json.1.part", ".md.json.2.part", ".md.json2.1.part"):
        (tmp_path / name).write_text("{")
    with (tmp_path / ".md.json.1.part").open() as of_a_running_one:
        fcntl.flock(of_a_running_one, fcntl.LOCK_EX)
        written(tmp_path, thresholds, [row(tmp_path / "a.jpg", "cat", 0.9)])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".md.json.1.part", ".md.json2.1.part", "md.json"]


def test_a_wild_feline_is_unsure_even_if_the_thresholds_are_equal(
    tmp_path: Path, rule: ThresholdRule
) -> None:
    """As with a high rate of cats that may be ruled out."""
    equal = rule.with_thresholds(Thresholds(cat_at=CAT_AT, not_cat_below=CAT_AT))
    content = written(tmp_path, equal, [row(tmp_path / "a.jpg", "unsure", 0.99)])
    at = content["info"]["detector_metadata"]
    (detection,) = content["images"][0]["detections"]
    confidence = detection["conf"]
    assert at["conservative_detection_threshold"] <= confidence < at["typical_detection_threshold"]
