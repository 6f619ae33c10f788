"""The data that a run of labelled photos keeps in addition to verdicts, to fit a head on.

``kept.json`` in the plan's folder describes it; a plan without that file keeps verdicts only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from catloader.bulk.manifest import PlannedPhoto, read_json, read_photos
from catloader.bulk.plan import BulkError, Plan, write_atomically
from checker.decision.subject import Subject
from checker.evaluation.augment import AUGMENTATIONS
from checker.values import INPUTS_PER_PHOTO
from models.catalogue import CLASSES

_ODDS_BYTES, _FLOAT_BYTES = 8, 4


@dataclass(frozen=True, slots=True)
class Keep:
    """The content of ``kept.json``."""

    subject: Subject
    """The subject of the kept log-odds."""
    background_rows: tuple[int, ...]
    """Row numbers of the photos that others are pasted into. Empty: no augmentations are kept."""
    windows: int
    """Windows of a model input."""
    features: int
    """Features of a window."""

    @property
    def examples(self) -> int:
        """Examples of each photo: the photo, then its augmentations."""
        return 1 + (len(AUGMENTATIONS) if self.background_rows else 0)

    @property
    def odds_shape(self) -> tuple[int, ...]:
        return self.examples, INPUTS_PER_PHOTO, self.windows

    @property
    def logits_shape(self) -> tuple[int, ...]:
        """Shape for the photo alone: of an augmentation, only log-odds and features are needed."""
        return INPUTS_PER_PHOTO, self.windows, CLASSES

    @property
    def features_shape(self) -> tuple[int, ...]:
        return *self.odds_shape, self.features

    @property
    def photo_bytes(self) -> int:
        """Bytes for each photo, before compression."""
        per_window = _ODDS_BYTES + self.features * _FLOAT_BYTES
        windows = INPUTS_PER_PHOTO * self.windows
        return windows * (self.examples * per_window + CLASSES * _FLOAT_BYTES)


@dataclass(frozen=True, slots=True)
class Task:
    """The description of the kept data, for the processes that classify."""

    keep: Keep
    backgrounds: Sequence[PlannedPhoto]


def write_keep(plan_folder: Path, keep: Keep) -> None:
    """Write ``kept.json``."""
    write_atomically(plan_folder / "kept.json", json.dumps(asdict(keep), indent=2).encode() + b"\n")


def keep_of(plan: Plan) -> Keep | None:
    """Return the description of the data that a plan keeps; None: the plan keeps verdicts only.

    Raises:
        BulkError: the file is damaged.
    """
    path = plan.folder / "kept.json"
    try:
        data = read_json(path)
        subject = data["subject"]
        known = Subject(subject["name"], tuple(subject["classes"]), tuple(subject["wild"]))
        rows = tuple(data["background_rows"])
        return Keep(**{**data, "background_rows": rows, "subject": known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise BulkError(f"{path} is damaged; make the plan again.") from None


def task_of(plan: Plan) -> Task | None:
    """Return the description for the processes that classify; None: the plan keeps verdicts only."""
    keep = keep_of(plan)
    if keep is None:
        return None
    rows = keep.background_rows
    return Task(keep, read_photos(plan.folder / "manifest", rows, plan.facts.unit_rows))
