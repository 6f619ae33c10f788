"""The results of a plan of labelled photos, in the form that calibration and the accuracy benchmark read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from catloader.bulk.kept.columns import kept_units, required_keep
from catloader.bulk.manifest import Label
from catloader.bulk.plan import BulkError, Plan
from checker.decision.subject import Subject
from checker.evaluation.augment import AUGMENTATIONS
from checker.evaluation.examples import PLAIN, CalibrationSet, Examples
from checker.evaluation.photos import CAT, WILD_FELINE, describe
from checker.values import INPUTS_PER_PHOTO, Floats, ModelInfo


def calibration_set(plan: Plan, subject: Subject, *, augmented: bool, features: bool) -> CalibrationSet:
    """Read a finished plan in the form in which ``CalibrationSet.of`` returns measured photos.

    Memory: 120 bytes for each photo and each of its three augmentations; with ``features`` also their
    features, 77 kB with EfficientNet-Lite.

    Args:
        augmented: read the augmentations too; False: the photos alone.
        features: read the features; False: the arrays of features have no columns.

    Raises:
        BulkError: the plan is not done, was made for another subject, or has no augmentations.
        UnusablePhotos: a photo could not be classified; the text names it.
    """
    keep = required_keep(plan)
    if keep.subject != subject:
        raise BulkError(f"The plan {plan.folder.name} is for the subject {keep.subject.name}.")
    examples = 1 + len(AUGMENTATIONS) if augmented else 1
    if examples > keep.examples:
        raise BulkError(
            f"The plan {plan.folder.name} has no augmentations, which calibration needs; "
            "plan it without `--no-augmentations`."
        )
    labelled: list[Label] = []
    contents: list[str] = []
    soft, odds = [], []
    for unit in kept_units(plan, "soft", "odds"):
        labelled += unit["labelled"]
        contents += unit["renditions_sha256"]
        soft.append(unit["soft"][:, :examples])
        odds.append(unit["odds"][:, :examples])
    labels = np.array([label.label for label in labelled])
    wild = labels == WILD_FELINE
    known = np.flatnonzero(~wild)
    all_odds = np.concatenate(odds)
    shape = (INPUTS_PER_PHOTO, keep.windows, keep.features if features else 0)
    of_known = np.zeros((len(known) * examples, *shape), np.float32)
    of_wild = np.zeros((int(wild.sum()), *shape), np.float32)
    if features:
        _read_features(plan, wild, of_known, of_wild, examples)
    made = examples - 1
    source = np.concatenate([known, np.repeat(known, made)])
    number = np.arange(len(known))
    return CalibrationSet(
        Examples(
            odds=_in_order(all_odds[known]),
            features=of_known,
            positive=(labels == CAT)[source],
            soft=_in_order(np.concatenate(soft)[known]),
            augmentation=np.array([PLAIN] * len(known) + [*AUGMENTATIONS[:made]] * len(known), dtype="U8"),
            photo=np.concatenate([number, np.repeat(number, made)]),
            kinds=np.array([label.kind for label in labelled])[source],
        ),
        all_odds[wild, 0],
        of_wild,
        describe(labelled, contents),
    )


def model_of(plan: Plan) -> tuple[ModelInfo, str]:
    """Return the info of the model that classified a plan's photos, and its decoder."""
    for unit in kept_units(plan, "log", "decoder"):
        log = json.loads(unit["log"][0])
        names = ("model", "weights_sha256", "runtime", "precision", "device", "versions")
        return ModelInfo(**{name: log[name] for name in names}), unit["decoder"][0]
    raise BulkError(f"The plan {plan.folder.name} has no photos.")


def _in_order(values: Any) -> Any:
    """Flatten ``(photos, examples, ...)`` into the order of ``Examples``: photos, then augmentations."""
    return np.concatenate([values[:, 0], values[:, 1:].reshape(-1, *values.shape[2:])])


def _read_features(
    plan: Plan, wild: np.ndarray[Any, Any], of_known: Floats, of_wild: Floats, examples: int
) -> None:
    """Fill both arrays, unit by unit."""
    photos = int((~wild).sum())
    plain, made = of_known[:photos], of_known[photos:].reshape(photos, examples - 1, *of_known.shape[1:])
    first = known = others = 0
    for unit in kept_units(plan, "features"):
        values = unit["features"]
        is_wild = wild[first : first + len(values)]
        of_unit = values[~is_wild]
        plain[known : known + len(of_unit)] = of_unit[:, 0]
        made[known : known + len(of_unit)] = of_unit[:, 1:examples]
        of_wild[others : others + int(is_wild.sum())] = values[is_wild, 0]
        first, known, others = first + len(values), known + len(of_unit), others + int(is_wild.sum())
