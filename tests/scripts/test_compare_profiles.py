"""``compare_profiles.py`` compares every rate of two profiles, and refuses profiles without common ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import OperatingPoint, Profile, load_profile
from checker.evaluation.decided import remeasured
from checker.evaluation.intervals import rate
from scripts import compare_profiles


@pytest.fixture(scope="module")
def shipped() -> Profile:
    return load_profile(SHIPPED_PROFILES / "efficientnet_lite0-openvino-int8-house_cat.json")


Compare = Callable[[Profile], tuple[int, str]]


@pytest.fixture
def compared(shipped: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Return a function that compares the shipped profile with another: exit code and whole output."""

    def compare(other: Profile) -> tuple[int, str]:
        for name, profile in (("first", shipped), ("second", other)):
            (tmp_path / name).mkdir()
            profile.save(tmp_path / name / "p.json")
        code = compare_profiles.main([str(tmp_path / "first"), str(tmp_path / "second")])
        streams = capsys.readouterr()
        return code, streams.out + streams.err

    return compare


def with_points(profile: Profile, side: str, points: tuple[OperatingPoint, ...]) -> Profile:
    changes: dict[str, Any] = {side: points}
    return replace(profile, **changes)


def test_equal_profiles_agree(shipped: Profile, compared: Compare) -> None:
    code, output = compared(shipped)
    assert code == 0
    assert (
        "p: the same photos, within the error bars; AUC 0.99966 and 0.99966, ECE 0.0041 and 0.0041\n"
        in output
    )


@pytest.mark.parametrize("side", ["cat", "not_cat", "soft"])
def test_a_rate_outside_the_error_bars_is_found_on_each_side(
    shipped: Profile, compared: Compare, side: str
) -> None:
    *points, last = getattr(shipped, side)
    n = last.realised.n
    other = with_points(shipped, side, (*points, replace(last, realised=rate(n // 2, n))))
    code, output = compared(other)
    assert code == 1
    assert "OUTSIDE the error bars" in output


@pytest.mark.parametrize(
    ("side", "named"), [("cat", "false positives"), ("not_cat", "false negatives"), ("soft", "soft photos")]
)
@pytest.mark.parametrize("has_points", [False, True])
def test_profiles_without_a_common_target_are_refused(
    shipped: Profile, compared: Compare, side: str, named: str, has_points: bool
) -> None:
    others = tuple(replace(one, target=one.target / 7) for one in getattr(shipped, side) if has_points)
    code, output = compared(with_points(shipped, side, others))
    assert code == 2
    assert output.endswith(f"have no common target of {named}\n")


def test_thresholds_measured_on_decisions_of_people_are_compared(shipped: Profile, compared: Compare) -> None:
    """Their profile states no digest of the photos, no commit and no AUC."""
    scores, positive = np.tile([0.99, 0.0001], 500), np.tile([True, False], 500)
    now = datetime(2026, 12, 1, tzinfo=UTC)
    code, output = compared(remeasured(shipped, scores, positive, max_fpr=0.01, max_fnr=0.01, now=now))
    assert code == 1
    assert "p: photos of unknown digests, OUTSIDE the error bars; AUC 0.99966 and unknown, " in output
