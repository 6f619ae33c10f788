"""Compare two sets of profiles, to see if two calibrations give the same rates within their error bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from checker.decision.profile import OperatingPoint, Profile, Rate, load_profile
from scripts.command_line import CannotRun

_PHOTOS = {True: "the same photos", False: "DIFFERENT photos", None: "photos of unknown digests"}


def compare(first: Path, second: Path) -> dict[str, Any]:
    """Compare the profiles of two folders that have the same file names.

    Raises:
        CannotRun: no file name is in both folders, or two profiles have no common target on a side.
        ModelRefused: a profile cannot be read.
    """
    names = sorted(
        {path.name for path in first.glob("*.json")} & {path.name for path in second.glob("*.json")}
    )
    if not names:
        raise CannotRun(f"{first} and {second} have no profile of the same name")
    return {Path(name).stem: _pair(load_profile(first / name), load_profile(second / name)) for name in names}


def _pair(first: Profile, second: Profile) -> dict[str, Any]:
    if first.key != second.key:
        raise CannotRun(f"{first.profile_id} and {second.profile_id} are for different models or subjects")
    sides = {
        "false positives": (first.cat, second.cat),
        "false negatives": (first.not_cat, second.not_cat),
        "soft photos": (first.soft, second.soft),
    }
    points = []
    for side, (ones, others) in sides.items():
        common = _points(side, ones, others)
        if not common and (ones or others):
            raise CannotRun(f"{first.profile_id} and {second.profile_id} have no common target of {side}")
        points += common
    digests = [profile.made.get("data", {}).get("sha256") for profile in (first, second)]
    return {
        "same_photos": digests[0] == digests[1] if all(digests) else None,
        "made": [_made(profile) for profile in (first, second)],
        "points": points,
        "within_error_bars": all(point["within_error_bars"] for point in points),
    }


def _made(profile: Profile) -> dict[str, Any]:
    """Return the provenance; some fields are None or missing if people's decisions were measured."""
    made = profile.made
    fields = {key: made.get(key) for key in ("date", "commit", "command", "machine")}
    return {**fields, **made.get("judged", {})}


def _points(
    side: str, first: Iterable[OperatingPoint], second: Iterable[OperatingPoint]
) -> list[dict[str, Any]]:
    by_target = {point.target: point for point in second}
    return [
        {
            "side": side,
            "target": one.target,
            "thresholds": [one.threshold, other.threshold],
            "realised": [_share(one.realised), _share(other.realised)],
            "recall": [_share(one.recall), _share(other.recall)],
            "within_error_bars": _agree(one.realised, other.realised) and _agree(one.recall, other.recall),
        }
        for one in first
        if (other := by_target.get(one.target)) is not None
    ]


def _share(share: Rate) -> dict[str, Any]:
    return {"errors": share.errors, "n": share.n, "rate": share.rate, "low": share.low, "high": share.high}


def _agree(one: Rate, other: Rate) -> bool:
    """Return True if each rate lies in the other's 95 % interval."""
    return other.low <= one.rate <= other.high and one.low <= other.rate <= one.high


def as_text(pairs: Mapping[str, Any]) -> str:
    """Return one table for each pair of profiles."""
    lines = []
    for name, pair in pairs.items():
        photos = _PHOTOS[pair["same_photos"]]
        verdict = "within" if pair["within_error_bars"] else "OUTSIDE"
        lines += [
            f"{name}: {photos}, {verdict} the error bars; AUC {_both(pair['made'], 'auc', 5)}, "
            f"ECE {_both(pair['made'], 'ece', 4)}",
            f"  {'target':>24}{'threshold':>18}{'errors':>16}{'recall':>20}",
        ]
        for point in pair["points"]:
            thresholds = " / ".join(f"{threshold:.4f}" for threshold in point["thresholds"])
            errors = " / ".join(str(share["errors"]) for share in point["realised"])
            errors += f" of {point['realised'][0]['n']}"
            recall = " / ".join(f"{share['rate']:.2%}" for share in point["recall"])
            lines.append(
                f"  {point['side']:>15} <= {point['target']:5.1%}{thresholds:>18}{errors:>16}{recall:>20}"
            )
    return "\n".join(lines)


def _both(made: Iterable[Mapping[str, Any]], name: str, digits: int) -> str:
    values = [one.get(name) for one in made]
    return " and ".join("unknown" if value is None else f"{value:.{digits}f}" for value in values)
