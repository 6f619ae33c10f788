from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from checker.decision.profile import find_profile
from checker.decision.subject import SUBJECTS
from checker.values import Activations, Evidence, ModelInfo
from models.catalogue import Preprocessing, entry_named
from scripts._measure import Measured
from scripts._photos import NoData, labelled_photos
from scripts.calibrate import calibrate
from tests.checker.evaluation.samples import made_up


class Stub:
    """A ``Classifier`` as far as ``calibrate`` asks: what ran, and how its input was made."""

    model_info = ModelInfo("efficientnet_lite0", "ab" * 32, "torch", "fp32", "cpu", {"numpy": "2"})
    preprocessing: Preprocessing = entry_named("efficientnet_lite0").preprocessing

    def run(self, batch: object) -> object:
        raise AssertionError("calibrate judges what was measured, and runs nothing")

    def close(self) -> None: ...


def measured(n: int = 400) -> Measured:
    """Logits that favour tabby (281) for cats, features as ``made_up``."""
    inputs, positive = made_up(n, seed=1)
    logits = np.zeros((n, 1000), np.float32)
    logits[:, 281] = inputs.odds[:, 0] + 7
    labels = np.where(positive, "cat", "not_cat").astype("<U12")
    labels[:3] = "wild_feline"
    return Measured(
        names=tuple(f"{i:04}" for i in range(n)),
        labels=labels,
        evidence=Evidence(
            Activations(logits, inputs.photo.astype(np.float32)),
            Activations(logits, inputs.thumbnail.astype(np.float32)),
        ),
        data={"counts": {}, "sha256": "00"},
        photos_per_s=1.0,
        peak_bytes=1,
    )


def test_a_profile_is_calibrated_and_its_thresholds_fall_with_the_target(tmp_path: Path) -> None:
    profile = calibrate(measured(), Stub(), SUBJECTS["house_cat"], fit_head=True)  # type: ignore[arg-type]
    targets = [point.target for point in profile.cat]
    thresholds = [point.threshold for point in profile.cat]
    assert targets == [0.005, 0.01, 0.02, 0.05]
    assert thresholds == sorted(thresholds, reverse=True)
    assert all(point.recall.low < point.recall.rate < point.recall.high for point in profile.cat)
    assert profile.made["judged"]["ece"] < 0.1
    assert profile.made["wild_felines"]["n"] == 3
    assert {"date", "commit", "command", "machine", "data"} <= set(profile.made)
    profile.save(tmp_path / "p.json")
    found = find_profile(profile.key, [tmp_path])
    assert found is not None
    assert found.profile_id == profile.profile_id


def test_data_is_a_table_or_folders(tmp_path: Path) -> None:
    for label in ("cat", "not_cat"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_bytes(b"")
    (tmp_path / "not_cat" / "notes.txt").write_bytes(b"")
    found = [(photo.name, photo.label) for photo in labelled_photos(str(tmp_path))]
    assert found == [("cat/a.jpg", "cat"), ("not_cat/a.jpg", "not_cat")]
    table = "\ufefffile,label\ncat/a.jpg,not_cat\nnot_cat/a.jpg,cat\n"  # a spreadsheet's UTF-8
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    found = [(photo.name, photo.label) for photo in labelled_photos(str(tmp_path))]
    assert found == [("cat/a.jpg", "not_cat"), ("not_cat/a.jpg", "cat")]
    (tmp_path / "labels.csv").write_text("file,label\ncat/a.jpg,kitten\n")
    with pytest.raises(NoData, match="'kitten' is no label"):
        labelled_photos(str(tmp_path))
    (tmp_path / "labels.csv").write_text("file,label\ncat/a.jpg,cat\nnot_cat/gone.jpg,not_cat\n")
    with pytest.raises(NoData, match=r"line 3: there is no file 'not_cat/gone\.jpg'"):
        labelled_photos(str(tmp_path))
    for text in ("photo,label\ncat/a.jpg,cat\n", ""):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(NoData, match=r"labels\.csv: its first line must name the columns file and label"):
            labelled_photos(str(tmp_path))
    (tmp_path / "labels.csv").write_bytes(b"file,label\nm\xfcsli.jpg,cat\n")
    with pytest.raises(NoData, match=r"labels\.csv cannot be read as a table"):
        labelled_photos(str(tmp_path))
    with pytest.raises(NoData, match="no such folder"):
        labelled_photos(str(tmp_path / "nowhere"))
