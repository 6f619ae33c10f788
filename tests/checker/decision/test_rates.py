from __future__ import annotations

from dataclasses import replace

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import load_profile
from checker.decision.rates import rates_at, rates_within

_PROFILE = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-openvino-int8-house_cat.json")


def test_each_threshold_has_the_rates_of_its_target() -> None:
    for point in (*_PROFILE.cat, *_PROFILE.soft):
        assert rates_at(_PROFILE, point.threshold) == rates_within(_PROFILE, point.target)
    assert rates_at(_PROFILE, 0.123) is None


def test_soft_photos_have_rates_where_sharp_ones_were_measured_for_fewer_targets() -> None:
    """Thresholds from decisions keep those of soft photos, which are all 1 if few of them were measured."""
    soft = tuple(replace(point, threshold=1.0) for point in _PROFILE.soft)
    profile = replace(_PROFILE, cat=_PROFILE.cat[2:], soft=soft)
    assert rates_at(profile, 1.0) == rates_within(profile, _PROFILE.cat[2].target)


def test_of_several_points_with_one_threshold_the_rate_in_force_decides() -> None:
    """resnet50_v1 has the same threshold for 1 % and 2 %, and different ones for soft photos."""
    profile = load_profile(SHIPPED_PROFILES / "resnet50_v1-openvino-int8-house_cat.json")
    threshold = next(point.threshold for point in profile.cat if point.target == 0.01)
    for max_fpr, target in ((0.0, 0.01), (0.01, 0.01), (0.02, 0.02), (0.03, 0.02)):
        assert rates_at(profile, threshold, max_fpr) == rates_within(profile, target)
