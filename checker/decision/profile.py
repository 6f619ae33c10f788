"""Profiles: measurements of one model with one preprocessing, runtime, precision and subject.

A profile is a JSON file made by the calibration: the head that turns activations into a score, and the
*operating points*: thresholds with their error rates on photos that were used neither to fit the head nor to
choose the thresholds. Shipped profiles are in ``models/profiles``; a site's own profile in
``DATA_DIR/profiles`` takes precedence.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checker.decision.head import Head
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.files import write_whole
from checker.values import ModelInfo
from models.catalogue import Preprocessing

FORMAT = 3


def digest(value: Any) -> str:
    """Compute the sha256 of plain data, in canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ProfileKey:
    """Everything that the numbers depend on; a profile is valid only if every part is equal."""

    weights_sha256: str
    preprocessing: str
    """``Preprocessing.key``: equal for equal pixels."""
    runtime: str
    precision: str
    subject: Subject

    @classmethod
    def of(cls, model_info: ModelInfo, preprocessing: Preprocessing, subject: Subject) -> ProfileKey:
        return cls(
            model_info.weights_sha256, preprocessing.key, model_info.runtime, model_info.precision, subject
        )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProfileKey:
        fields = data["subject"]
        subject = Subject(fields["name"], tuple(fields["classes"]), tuple(fields["wild"]))
        return cls(data["weights_sha256"], data["preprocessing"], data["runtime"], data["precision"], subject)


@dataclass(frozen=True, slots=True)
class Rate:
    """A counted share, with its Wilson 95 % interval."""

    errors: int
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with the rates that it reached on photos that were not used to choose it."""

    target: float
    """The rate to keep within: false positives at ``cat_at``, false negatives at ``not_cat_below``."""
    threshold: float
    realised: Rate
    """The measured rate, to compare with ``target``."""
    recall: Rate
    """Cats at or above ``threshold``; ``errors`` counts the missed ones."""
    kinds: Mapping[str, Rate] = field(default_factory=dict)
    """For a cat threshold: kind of other photo -> share called cat. ``realised`` is the worst kind's rate."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The measurements of one model. Compare by ``profile_id``, which is made from the content."""

    key: ProfileKey
    model: str
    head: Head
    cat: tuple[OperatingPoint, ...]
    """Sorted by rising target (maximum false positive rate)."""
    not_cat: tuple[OperatingPoint, ...]
    """Sorted by rising target (maximum false negative rate)."""
    soft: tuple[OperatingPoint, ...] = ()
    """For soft photos, sorted by rising target (maximum false positive rate)."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Provenance: date, command, commit, machine, data (counts and digest), method."""
    fp32_recall: Mapping[float, float] = field(default_factory=dict)
    """For an int8 variant: recall of fp32 at each point's target, measured in the same run."""
    golden: Mapping[str, Any] = field(default_factory=dict)
    """Self-test: file and sha256 of a photo next to the profile, its expected scores and the tolerance."""
    folder: Path = Path()
    """The folder of the profile and of ``golden["file"]``."""

    @property
    def profile_id(self) -> str:
        key = self.key
        return f"{self.model}-{key.runtime}-{key.precision}-{key.subject.name}-{digest(self.to_json())[:8]}"

    def to_json(self) -> dict[str, Any]:
        fp32_recall = {f"{target:g}": rate for target, rate in self.fp32_recall.items()}
        return {
            "format": FORMAT,
            "model": self.model,
            "key": self.key.to_json(),
            "cat": [dataclasses.asdict(point) for point in self.cat],
            "not_cat": [dataclasses.asdict(point) for point in self.not_cat],
            "soft": [dataclasses.asdict(point) for point in self.soft],
            **({"fp32_recall": fp32_recall} if fp32_recall else {}),
            "made": dict(self.made),
            "golden": dict(self.golden),
            "head": self.head.to_json(),
        }

    def save(self, path: Path) -> None:
        write_whole(path, (json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n").encode())


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ModelRefused: the file is not a valid profile; the caller must not treat it as missing.
    """
    if path.exists() and not path.is_file():  # reading a pipe may never end
        raise ModelRefused(f"profile {path} cannot be read: it is not a regular file")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ModelRefused(
                f"profile {path}: format {data['format']}; this program reads format {FORMAT}; "
                "calibrate again, or delete it"
            )
        return profile_from_json(data, path.parent)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged; delete it, or calibrate again"
        raise ModelRefused(f"profile {path} cannot be read: {reason}") from error


def profiles_in(folder: Path) -> Iterator[Profile]:
    """Read the profiles of a folder, sorted by file name; raises as ``load_profile`` does."""
    return map(load_profile, sorted(folder.glob("*.json")))


def profile_from_json(data: Mapping[str, Any], folder: Path = Path()) -> Profile:
    """Make a profile from the output of ``to_json``."""
    return Profile(
        key=ProfileKey.from_json(data["key"]),
        model=data["model"],
        head=Head.from_json(data["head"]),
        cat=_points(data["cat"]),
        not_cat=_points(data["not_cat"]),
        soft=_points(data["soft"]),
        made=data["made"],
        fp32_recall={float(target): rate for target, rate in data.get("fp32_recall", {}).items()},
        golden=data["golden"],
        folder=folder,
    )


def _points(rows: Iterable[Mapping[str, Any]]) -> tuple[OperatingPoint, ...]:
    points = [
        OperatingPoint(
            float(row["target"]),
            float(row["threshold"]),
            Rate(**row["realised"]),
            Rate(**row["recall"]),
            {kind: Rate(**rate) for kind, rate in row["kinds"].items()},
        )
        for row in rows
    ]
    return tuple(sorted(points, key=lambda point: point.target))


def profile_of_id(profile_id: str, folders: Iterable[Path]) -> Profile | None:
    """Find the profile that a decision names; None: it was replaced, or was made on another machine.

    Raises:
        ModelRefused: a file in one of the folders is not a valid profile.
    """
    for folder in folders:
        for profile in profiles_in(folder):
            if profile.profile_id == profile_id:
                return profile
    return None


def find_profile(key: ProfileKey, folders: Iterable[Path]) -> Profile | None:
    """Find the profile with exactly this key: the newest one of the first folder that has any.

    Raises:
        ModelRefused: a file in one of the folders is not a valid profile.
    """
    for folder in folders:
        fitting = [profile for profile in profiles_in(folder) if profile.key == key]
        if fitting:
            return max(fitting, key=lambda profile: str(profile.made.get("date", "")))
    return None
