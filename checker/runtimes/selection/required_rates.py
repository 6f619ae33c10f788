"""The measured rates that a variant must have before it may check."""

from __future__ import annotations

from checker.decision.operating_point import cat_point
from checker.decision.profile import Profile
from checker.errors import ModelRefused

MAX_LOST_RECALL = 0.005
"""int8 serves only if its recall is at most half a percentage point below fp32's at the same false positive
rate."""


def require_rates(profile: Profile, max_fpr: float) -> None:
    """Raise ModelRefused if no rate in the profile is low enough, or int8 loses too many cats."""
    point = cat_point(profile, max_fpr)
    if profile.key.precision != "int8":
        return
    fp32_recall = profile.fp32_recall.get(point.target)
    if fp32_recall is None:
        raise ModelRefused(f"profile {profile.profile_id} has no recall of fp32 to compare int8 with")
    if point.recall.rate < fp32_recall - MAX_LOST_RECALL:
        raise ModelRefused(
            f"at a false positive rate of {point.target:g} int8 finds {point.recall.rate:.1%} of the "
            f"cats and fp32 {fp32_recall:.1%}: more than {MAX_LOST_RECALL:.1%} are lost"
        )
