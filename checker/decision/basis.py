"""The model of a logged decision: find the weights, subject and head that it was made with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from checker.decision.head import Head
from checker.decision.operating_point import UNCALIBRATED
from checker.decision.profile import profile_of_id
from checker.decision.subject import Subject, load_subject
from checker.errors import ModelRefused
from models.catalogue import Entry, entry_named, resolve
from models.digest import verify
from models.errors import ModelsError


class DecisionRecord(Protocol):
    """The facts about a decision that a log must keep."""

    @property
    def model(self) -> str | None: ...
    @property
    def weights_sha256(self) -> str | None: ...
    @property
    def precision(self) -> str | None: ...
    @property
    def profile_id(self) -> str | None: ...
    @property
    def subject(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class DecisionBasis:
    """A model with its weights, its input, and the function from its activations to the score."""

    entry: Entry
    weights: Path
    subject: Subject
    head: Head
    turned_deg: int = 0
    """See ``Decision.turned_deg``."""

    def to_json(self) -> str:
        """Return one line, for another process on this machine."""
        return json.dumps(
            {
                "model": self.entry.name,
                "weights": str(self.weights),
                "subject": self.subject.name,
                "classes": self.subject.classes,
                "head": self.head.to_json(),
                "turned_deg": self.turned_deg,
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> DecisionBasis:
        data = json.loads(text)
        subject = Subject(data["subject"], tuple(data["classes"]))
        weights = Path(data["weights"])
        entry = entry_named(data["model"], weights.parent)
        return cls(entry, weights, subject, Head.from_json(data["head"]), data["turned_deg"])


def model_of_decision(
    record: DecisionRecord, *, weights_dir: Path, profile_folders: Iterable[Path], subject: str
) -> DecisionBasis:
    """Find the model, subject and head that made a decision.

    For an int8 model the float32 weights that it was made from are returned: the int8 model has no gradients,
    and its digest differs from theirs.

    Args:
        subject: name or file of the current subject. An uncalibrated decision can be traced only to this
            subject or to a built-in one.

    Raises:
        ModelRefused: the weights or the profile are no longer on this machine.
    """
    try:
        entry, weights = resolve(str(record.model), weights_dir)
        unchanged = verify(entry, weights) == record.weights_sha256 or record.precision == "int8"
    except ModelsError as error:
        raise ModelRefused(_gone(record)) from error
    if not unchanged:
        raise ModelRefused(_gone(record))
    return DecisionBasis(entry, weights, *_subject_and_head(record, profile_folders, subject))


def _gone(record: DecisionRecord) -> str:
    return f"its model, {record.model}, is not on this machine any more"


def _subject_and_head(
    record: DecisionRecord, profile_folders: Iterable[Path], subject_in_force: str
) -> tuple[Subject, Head]:
    if record.profile_id == UNCALIBRATED:
        subject = load_subject(subject_in_force)
        return subject if subject.name == record.subject else load_subject(str(record.subject)), Head()
    if (profile := profile_of_id(str(record.profile_id), profile_folders)) is not None:
        return profile.key.subject, profile.head
    raise ModelRefused("its model's profile has been replaced since; this works again after its next check")
