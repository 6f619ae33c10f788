"""The model of a logged decision, from real weights and shipped profiles."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from checker.decision.basis import DecisionBasis, model_of_decision
from checker.decision.head import Head
from checker.decision.operating_point import SHIPPED_PROFILES, UNCALIBRATED
from checker.decision.profile import load_profile
from checker.decision.subject import SUBJECTS
from checker.errors import ModelRefused
from models.digest import verify

PROFILE = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")


@dataclasses.dataclass(frozen=True)
class Record:
    model: str | None = "efficientnet_lite0"
    weights_sha256: str | None = PROFILE.key.weights_sha256
    precision: str | None = "fp32"
    profile_id: str | None = PROFILE.profile_id
    subject: str | None = "house_cat"


def _basis(in_force: str = "house_cat", **facts: Any) -> DecisionBasis:
    return model_of_decision(
        Record(**facts),
        weights_dir=Path(),
        profile_folders=[Path("none"), SHIPPED_PROFILES],
        subject=in_force,
    )


def test_profile_names_subject_and_head() -> None:
    basis = _basis()
    assert basis.entry.name == "efficientnet_lite0"
    assert verify(basis.entry, basis.weights) == PROFILE.key.weights_sha256
    assert (basis.subject, basis.head.to_json()) == (PROFILE.key.subject, PROFILE.head.to_json())


def test_int8_decision_is_traced_to_its_source_weights() -> None:
    assert _basis(weights_sha256="5" * 64, precision="int8").weights == _basis().weights


def test_uncalibrated_decision_has_the_current_subject_or_a_built_in_one(tmp_path: Path) -> None:
    big_cat = tmp_path / "big_cat.toml"
    big_cat.write_text('classes = ["lion", "tiger"]')
    for in_force, logged, classes in (
        ("house_cat", "dog", SUBJECTS["dog"].classes),
        (str(big_cat), "big_cat", (291, 292)),
        (str(big_cat), "feline", SUBJECTS["feline"].classes),
    ):
        basis = _basis(in_force, profile_id=UNCALIBRATED, subject=logged)
        assert (basis.subject.classes, basis.head.to_json()) == (classes, Head().to_json())


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"weights_sha256": "0" * 64}, "efficientnet_lite0, is not on this machine any more"),
        ({"model": "resnet18"}, "resnet18, is not on this machine any more"),
        ({"model": "vgg"}, "vgg, is not on this machine any more"),
        ({"profile_id": "of-last-year"}, "profile has been replaced since"),
        ({"profile_id": UNCALIBRATED, "subject": "big_cat"}, "no subject 'big_cat'"),
    ],
)
def test_missing_parts_are_refused(facts: dict[str, str], reason: str) -> None:
    with pytest.raises(ModelRefused, match=reason):
        _basis(**facts)


def test_json_contains_all_that_an_explanation_needs() -> None:
    basis = _basis()
    line = basis.to_json()
    copy = DecisionBasis.from_json(line)
    assert "\n" not in line
    assert (copy.entry, copy.weights, copy.subject.classes) == (
        basis.entry,
        basis.weights,
        basis.subject.classes,
    )
    assert copy.to_json() == line
