"""Compare two sets of profiles, to see if two calibrations give the same rates within their error bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from checker.decision.profile import OperatingPoint, Profile, Rate, load_profile
from scripts.command_line import CannotRun


def compare(first: Path, second: Path) -> dict[str, Any]:
    """Compare the profiles of two folders that have the same file names.

    Raises:
        CannotRun: no file name is in both folders.
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
    points = [
        *_points("false positives", first.cat, second.cat),
        *_points("false negatives", first.not_cat, second.not_cat),
    ]
    return {
        "same_photos": first.made["data"]["sha256"] == second.made["data"]["sha256"],
        "made": [_made(profile) for profile in (first, second)],
        "points": points,
        "within_error_bars": all(point["within_error_bars"] for point in points),
    }


def _made(profile: Profile) -> dict[str, Any]:
    made = profile.made
    return {**{key: made[key] for key in ("date", "commit", "command", "machine")}, **made["judged"]}


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
        photos = "the same photos" if pair["same_photos"] else "DIFFERENT photos"
        verdict = "within" if pair["within_error_bars"] else "OUTSIDE"
        (first, second) = pair["made"]
        lines += [
            f"{name}: {photos}, {verdict} the error bars; AUC {first['auc']:.5f} and {second['auc']:.5f}, "
            f"ECE {first['ece']:.4f} and {second['ece']:.4f}",
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
