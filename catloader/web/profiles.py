"""The profiles behind decisions, for the pages that show measured error rates."""

from __future__ import annotations

import functools
from pathlib import Path

from catloader.checks.runtime_request import profile_folders
from catloader.store.db.checks.check_log import CheckRecord
from catloader.web.http.context import services
from checker.decision.operating_point import UNCALIBRATED
from checker.decision.profile import Profile, profile_of_id
from checker.decision.rates import MeasuredRates, rates_at
from checker.errors import ModelRefused


def profile_of(record: CheckRecord) -> Profile | None:
    """Return the profile that a decision used; None if it used none, or it is not on this machine."""
    if record.profile_id in (None, UNCALIBRATED):
        return None
    try:
        return _read(str(record.profile_id), profile_folders(services().settings))
    except (LookupError, ModelRefused):  # a broken file is reported in the log of the checkers
        return None


def measured_rates(record: CheckRecord | None) -> MeasuredRates | None:
    """Return the error rates that were measured at the threshold of a decision."""
    if record is None or record.cat_at is None:
        return None
    profile = profile_of(record)
    max_fpr = services().settings.max_false_positive_rate
    return rates_at(profile, record.cat_at, max_fpr) if profile else None


@functools.lru_cache(maxsize=8)
def _read(profile_id: str, folders: tuple[Path, ...]) -> Profile:
    """Read a profile and cache it: its ID is a digest of its content, and searching for it takes 10 ms.

    Raises:
        LookupError: none of the folders contains the profile.
    """
    profile = profile_of_id(profile_id, folders)
    if profile is None:
        raise LookupError(profile_id)
    return profile
