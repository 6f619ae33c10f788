"""The file of ``--resume``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.profile import load_profile
from checker.folder.checkpoint import CannotResume, Checkpoint
from checker.folder.report import Row, json_line, run_fields
from checker.values import ModelInfo
from models.catalogue import class_names

RUN = {
    "model": "m",
    "runtime": "torch",
    "precision": "fp32",
    "profile": "p",
    "subject": "house_cat",
    "cat_at": 0.4,
    "soft_cat_at": 0.9,
    "not_cat_below": 0.02,
}


def row(path: str, **fields: object) -> Row:
    return {"path": path, "verdict": "cat", "score": 0.9, "error": None, **RUN, **fields}


def written(path: Path, *rows: Row) -> Path:
    path.write_text("".join(map(json_line, rows)), encoding="utf-8")
    return path


def test_files_of_an_earlier_run_are_known_and_new_rows_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    first = Checkpoint(path, RUN)
    first.add(row("a.jpg"))
    assert path.read_text().count("\n") == 1, "a row is in the file at once"
    first.close()
    second = Checkpoint(path, RUN)
    assert "a.jpg" in second
    assert "b.jpg" not in second
    second.add(row("b.jpg"))
    assert [one["path"] for one in second.rows()] == ["a.jpg", "b.jpg"]
    second.close()


def test_a_file_that_was_unreadable_is_tried_again(tmp_path: Path) -> None:
    """Earlier versions wrote such lines."""
    error = row("a.jpg", verdict="unreadable", score=None, error="The file can't be read: Stale file handle.")
    checkpoint = Checkpoint(written(tmp_path / "v", error, row("b.jpg")), RUN)
    assert "a.jpg" not in checkpoint
    assert "b.jpg" in checkpoint
    checkpoint.add(row("a.jpg"))
    assert [(one["path"], one["verdict"]) for one in checkpoint.rows()] == [
        ("b.jpg", "cat"),
        ("a.jpg", "cat"),
    ]
    checkpoint.close()


def test_an_incomplete_line_is_removed(tmp_path: Path) -> None:
    path = written(tmp_path / "v", row("a.jpg"), row("b.jpg"))
    path.write_bytes(path.read_bytes()[:-5])
    checkpoint = Checkpoint(path, RUN)
    assert "a.jpg" in checkpoint
    assert "b.jpg" not in checkpoint
    checkpoint.add(row("b.jpg"))
    assert [one["path"] for one in checkpoint.rows()] == ["a.jpg", "b.jpg"]
    checkpoint.close()


def test_a_line_that_was_cut_off_at_any_byte_is_removed(tmp_path: Path) -> None:
    labels = [{"name": "tabby", "confidence": 0.5}, {"name": "tub", "confidence": 1.5e-05}]
    whole = json_line(
        row(
            'a\\", "b\x01\u00e9\U0001f600.jpg',
            reason=None,
            wild=False,
            calibrated=True,
            labels=labels,
            ms=12.5,
        )
    ).encode()
    for kept_bytes in range(len(whole)):
        path = tmp_path / "v"
        path.write_bytes(whole[:kept_bytes])
        Checkpoint(path, RUN).close()
        assert path.read_bytes() == (whole if kept_bytes == len(whole) - 1 else b"")


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "v", row("a.jpg"), row("b.jpg"))
    path.write_bytes(path.read_bytes()[:-1])
    checkpoint = Checkpoint(path, RUN)
    assert "b.jpg" in checkpoint
    checkpoint.add(row("c.jpg"))
    checkpoint.close()
    assert [json.loads(line)["path"] for line in path.read_text().splitlines()] == ["a.jpg", "b.jpg", "c.jpg"]


def test_lines_of_versions_without_thresholds_are_accepted(tmp_path: Path) -> None:
    for missing in ({"soft_cat_at"}, {"cat_at", "soft_cat_at", "not_cat_below"}):
        old = {field: value for field, value in row("a.jpg").items() if field not in missing}
        checkpoint = Checkpoint(written(tmp_path / "v", old), RUN)
        assert "a.jpg" in checkpoint
        checkpoint.close()


def test_lines_of_versions_that_judged_turned_photos_as_they_lie_are_refused_by_a_model_that_rotates(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "v", row("a.jpg", turned_deg=0), row("b.jpg"))
    text = path.read_text()
    with pytest.raises(CannotResume, match=r"v, line 2, .* as they lie\. .*: choose another file\.$"):
        Checkpoint(path, RUN, rotates=True)
    assert path.read_text() == text
    checkpoint = Checkpoint(path, RUN)
    assert "b.jpg" in checkpoint
    checkpoint.close()


def test_a_name_that_is_not_utf_8_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    path = written(tmp_path / "v", row("caf\ufffd.jpg", path_base64="Y2Fm6S5qcGc="))
    checkpoint = Checkpoint(path, RUN)
    assert os.fsdecode(b"caf\xe9.jpg") in checkpoint
    assert "caf\ufffd.jpg" not in checkpoint
    checkpoint.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,verdict\n", r"v, line 1, is not a line of --json output: choose another file for --resume\."),
        ('{"path": "a.jpg"}\n', "line 1, is not a line of --json"),
        ("[]\n", "line 1, is not a line of --json"),
        (
            json_line(row("a.jpg", profile="q")),
            r"has verdicts of m \(torch fp32, profile q, subject house_cat, cat from 0\.4, 0\.9 if soft, "
            r"not_cat below 0\.02\), and this run would use m \(torch fp32, profile p, subject house_cat, ",
        ),
        (json_line(row("a.jpg")) + json_line(row("b.jpg", subject="dog")), "subject dog"),
        (json_line(row("a.jpg", cat_at=0.8)), r"cat from 0\.8, .* this run would use .* cat from 0\.4"),
        (json_line(row("a.jpg", soft_cat_at=0.7)), r"0\.7 if soft, .* this run would use .* 0\.9 if soft"),
        (json_line(row("a.jpg", not_cat_below=0.1)), r"below 0\.1\), and this run would use .* below 0\.02"),
        ("notes without a line end", "line 1, is not a line of --json"),
        (json_line(row("a.jpg")) + '{"a": 1}', "line 2, is not a line of --json"),
        ('{"path": ' + "[" * 100_000 + "\n", "line 1, is not a line of --json"),
        ('{"path": "notes.txt", "text": "of another program"}', "line 1, is not a line of --json"),
        ('{"path": ["notes.txt"', "line 1, is not a line of --json"),
        *(
            (text, "line 1, is not a line of --json")
            for text in (
                '{"path": "a"} {"path": "b"}',
                '{"path": "x", a: 1}',
                '{"path": "x", "text": "of another prog',
                '{"path": "x", "verdict": "cat", a: 1}',
                '{"path": "x", "verdict": "cat"} 1',
            )
        ),
        ('{"path": "a.jpg", "labels": ' + "[" * 100_000, "line 1, is not a line of --json"),
        (json_line(row("a.jpg", profile="q")).rstrip(), "has verdicts of m"),
        (json.dumps(row("\ud800.jpg")) + "\n", "line 1, is not a line of --json"),
        *(
            (json.dumps({**row("a.jpg"), **fields}) + "\n", "line 1, is not a line of --json")
            for fields in (
                {"path": 5},
                {"path": ""},
                {"path": None, "path_base64": "YQ=="},
                {"path": "caf\udce9.jpg"},
                {"path_base64": "a"},
                {"path_base64": 5},
                {"verdict": "maybe"},
                {"score": "high"},
                {"score": float("nan")},
                {"score": None},
                {"score": None, "error": "It is empty."},
                {"score": None, "error": 5},
            )
        ),
    ],
)
def test_a_file_of_another_kind_or_model_is_refused_and_not_changed(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "v"
    path.write_text(text)
    with pytest.raises(CannotResume, match=message):
        Checkpoint(path, RUN)
    assert path.read_text() == text


def test_a_file_in_another_encoding_is_refused_and_not_changed(tmp_path: Path) -> None:
    path, data = tmp_path / "v", '{"path": "caf\xe9.jpg", "verdict": "c'.encode("latin-1")
    path.write_bytes(data)
    with pytest.raises(CannotResume, match="line 1, is not a line of --json"):
        Checkpoint(path, RUN)
    assert path.read_bytes() == data


def test_a_file_that_another_run_uses_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "v", row("a.jpg"))
    first = Checkpoint(path, RUN)
    with pytest.raises(CannotResume, match=r"v is in use by another run: wait for its end"):
        Checkpoint(path, RUN)
    first.close()
    Checkpoint(path, RUN).close()


def test_a_run_with_other_rates_is_refused_even_if_only_soft_photos_are_judged_otherwise(
    tmp_path: Path,
) -> None:
    """The thresholds of resnet50_v1 for 1 % and 2 % differ for soft photos only."""
    profile = load_profile(SHIPPED_PROFILES / "resnet50_v1-openvino-int8-house_cat.json")
    info = ModelInfo(profile.model, profile.key.weights_sha256, "openvino", "int8", "cpu")
    first, second = (
        run_fields(info, ThresholdRule(profile.key.subject, class_names(), profile=profile, max_fpr=rate))
        for rate in (0.01, 0.02)
    )
    assert first["cat_at"] == second["cat_at"]
    path = written(tmp_path / "v", row("a.jpg", **first))
    Checkpoint(path, first).close()
    with pytest.raises(CannotResume, match="choose another file"):
        Checkpoint(path, second)
