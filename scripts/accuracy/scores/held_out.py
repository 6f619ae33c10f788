"""Cross-validated scores of the photos on which a profile was fitted: each by a head fitted without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from checker.decision.head import sigmoid
from checker.evaluation.examples import Examples
from checker.evaluation.fit import FEATURE_PENALTY, cross_fitted, platt
from checker.evaluation.statistics import Doubles
from checker.evaluation.thresholds import FOLDS

_Part = TypeVar("_Part")


def held_out_scores(examples: Examples, fit: dict[str, Any]) -> Doubles:
    """Return each photo's score by a head that is fitted as in calibration, but without the photo itself.

    Wild felines have no such score and are left out.

    Args:
        examples: the photos without augmentations, because those would take four times as long.
    """
    penalty = fit["penalty"] or FEATURE_PENALTY
    logits, _ = cross_fitted(
        examples, features=fit["head"] == "linear probe", penalty=penalty, folds=FOLDS, seed=fit["seed"]
    )
    slope, shift = platt(logits, examples.positive)
    return sigmoid(slope * logits + shift)


def joined(parts: Sequence[_Part]) -> _Part:
    """Concatenate all arrays and tuples of the measurements of several sets of photos.

    Other fields are taken from the first part.
    """
    first: Any = parts[0]
    values: dict[str, Any] = {}
    for field in fields(first):
        pieces = [getattr(part, field.name) for part in parts]
        if isinstance(pieces[0], np.ndarray):
            values[field.name] = np.concatenate(pieces)
        elif isinstance(pieces[0], tuple):
            values[field.name] = sum(pieces, ())
        elif is_dataclass(pieces[0]):
            values[field.name] = joined(pieces)
    whole: _Part = replace(first, **values)
    return whole
