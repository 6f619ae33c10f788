from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from checker.decision.profile import find_profile
from checker.decision.subject import SUBJECTS
from checker.evaluation.calibrate import calibrate, table
from checker.evaluation.examples import CalibrationSet
from checker.evaluation.measure import Measured
from checker.evaluation.photos import UnusablePhotos
from checker.values import Evidence, ModelInfo
from models.catalogue import entry_named
from tests.checker.evaluation.samples import made_up

INFO = ModelInfo("efficientnet_lite0", "ab" * 32, "torch", "fp32", "cpu", {"numpy": "2"})
PREPROCESSING = entry_named("efficientnet_lite0").preprocessing


def measured(n: int = 700) -> Measured:
    """Logits that favour tabby (281) for cats, and features as in ``made_up``."""
    examples = made_up(n, seed=1, separation=0.5)
    logits = np.zeros((*examples.odds.shape, 1000), np.float32)
    logits[..., 281] = examples.odds + 7
    labels = np.where(examples.positive, "cat", "not_cat").astype("<U12")
    labels[:3] = "wild_feline"
    return Measured(
        names=tuple(f"{i:04}" for i in range(n)),
        labels=labels,
        kinds=examples.kinds,
        evidence=Evidence(logits, examples.features, examples.soft, np.zeros(n, bool), np.zeros(n, int)),
        data={"counts": {}, "sha256": "00"},
        photos_per_s=1.0,
        peak_bytes=1,
    )


def test_a_profile_is_calibrated_and_its_thresholds_fall_with_the_target(tmp_path: Path) -> None:
    house_cat = SUBJECTS["house_cat"]
    profile = calibrate(
        CalibrationSet.of(house_cat, measured()), INFO, PREPROCESSING, house_cat, fit_head=True
    )
    targets = [point.target for point in profile.cat]
    thresholds = [point.threshold for point in profile.cat]
    assert targets == [0.005, 0.01, 0.02, 0.05]
    assert thresholds == sorted(thresholds, reverse=True)
    assert all(point.recall.low < point.recall.rate < point.recall.high for point in profile.cat)
    assert profile.made["judged"]["ece"] < 0.1
    assert profile.made["wild_felines"]["n"] == 3
    assert {"date", "commit", "command", "machine", "data"} <= set(profile.made)
    profile.save(tmp_path / "p.json")
    saved = find_profile(profile.key, [tmp_path])
    assert saved is not None
    assert saved.profile_id == profile.profile_id
    lines = table(profile).splitlines()
    points = len(profile.cat) + len(profile.not_cat)
    assert len(lines) == 2 + points + len(profile.cat)
    assert {len(line) for line in lines[1 : 2 + points]} == {len(lines[1])}
    dogs = profile.cat[0].kinds["dog"]
    assert lines[2 + points].startswith(
        f"called cat at FPR <= 0.50%: dog {dogs.rate:.2%} ({dogs.errors} of {dogs.n})"
    )
    assert all(set(point.kinds) == {"dog", "other"} for point in profile.cat)


def test_exchanged_labels_are_refused() -> None:
    house_cat, photos = SUBJECTS["house_cat"], measured()
    logits = photos.evidence.logits.copy()
    logits[~photos.positive, ..., 281] += 20
    exchanged = replace(photos, evidence=replace(photos.evidence, logits=logits))
    with pytest.raises(UnusablePhotos, match="finds house_cat in the photos labelled not_cat, not in those"):
        calibrate(CalibrationSet.of(house_cat, exchanged), INFO, PREPROCESSING, house_cat, fit_head=True)
