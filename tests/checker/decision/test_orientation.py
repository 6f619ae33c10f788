"""The shipped fits of orientations belong to the shipped profiles, and damaged files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.orientation import (
    FOLDER,
    VERSION,
    fitted_orientation,
    load_orientation,
    orientation_in,
    orientation_version,
)
from checker.decision.profile import profiles_in
from checker.errors import ModelRefused

FILES = sorted(FOLDER.glob("*.json"))


def test_all_shipped_profiles_of_a_model_have_its_orientation() -> None:
    of_model = {path.stem: load_orientation(path).version for path in FILES}
    profiles = list(profiles_in(SHIPPED_PROFILES))
    assert of_model.keys() == {profile.model for profile in profiles}
    for profile in profiles:
        assert orientation_version(profile.key.weights_sha256) == {VERSION: of_model[profile.model]}


def test_other_weights_have_no_orientation() -> None:
    assert fitted_orientation("0" * 64) is None
    assert orientation_in({VERSION: "0" * 8}) is orientation_in({}) is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_log_odds_are_those_of_the_mean_of_the_whole_inputs(path: Path) -> None:
    orientation = load_orientation(path)
    weights = orientation.linear.features
    assert weights is not None
    features = np.random.default_rng(1).normal(size=(2, 3, 5, len(weights))).astype(np.float32)
    expected = features[:, :, 0].astype(np.float64).mean(axis=1) @ weights + orientation.linear.bias
    np.testing.assert_allclose(orientation.logits(features), expected, atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"weights_sha256": ["0"], "turned_at": 1, "margin": "x", "linear": {"bias": 0, "mass": 0}}',
        b"\xff",
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ModelRefused, match=r"model\.json is damaged; install this program again"):
        load_orientation(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_share_of_upright_photos_that_count_as_turned_is_as_promised(path: Path) -> None:
    data = json.loads(path.read_text("utf-8"))
    (rule,) = (
        rule
        for rule in data["made"]["judged"]["rules"]
        if (rule["turned_at"], rule["margin"]) == (data["turned_at"], data["margin"])
    )
    examined, rotated = (rule[name] for name in ("examined", "rotated"))
    assert examined["upright"]["all"]["share"] <= 0.051
    assert rotated["upright"]["all"]["share"] <= 0.025
    assert rotated["turned"]["all"]["share"] >= 0.75
