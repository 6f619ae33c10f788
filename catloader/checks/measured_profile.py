"""The data folder's profile with the thresholds that were measured on reviewers' decisions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import profile_from_json
from checker.files import write_whole

_MEASURED = "measured-on-decisions.json"
_GOLDEN = SHIPPED_PROFILES / "golden.jpg"


def write_measured_profile(folder: Path, profile: Mapping[str, Any] | None) -> None:
    """Write the profile of measured thresholds and the photo of its self-test; None removes the profile."""
    path = folder / _MEASURED
    if profile is None:
        if path.exists():  # on a read-only disk it would raise an error even for a missing file
            path.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _GOLDEN.name, _GOLDEN.read_bytes())
    profile_from_json(profile).save(path)
