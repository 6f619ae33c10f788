"""Fit a model's orientation, and judge it and the verdicts on photos that no fit has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.decision.head import Doubles, Linear
from checker.evaluation.examples import Examples, Flags, Indices
from checker.evaluation.fit import FEATURE_PENALTY, fit, head_logits, linear_fit, stratified_folds
from checker.evaluation.intervals import rate
from checker.evaluation.thresholds import FOLDS, choose_thresholds, kinds_of_others
from checker.values import Floats

SHARE = 0.05
"""Share of the upright photos that may count as turned. Each of them costs one or two more inferences."""
SHARES = (0.01, 0.02, SHARE, 0.1)
"""Shares at which verdicts are compared."""
TARGETS = (0.005, 0.01)
"""False positive rates at which verdicts are compared."""
NOT_CAT_TARGET = 0.01
_ORIENTATIONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The results of fits that did not see the photo; P photos, E examples (photos and augmentations)."""

    fold: Indices
    """``(E,)``."""
    example_logits: Doubles
    """``(E,)``: the heads' logits."""
    logits: Doubles
    """``(4, P)``: the heads' logits in each orientation, the photo as it is first."""
    turned: Doubles
    """``(4, P)``: the log-odds that the photo is turned."""
    thumbnails: Doubles
    """``(4, P)``: the same from the thumbnails alone."""
    examples_turned: Doubles
    """``(E,)``: the log-odds that the example is turned."""


def orientation_fit(orientations: Sequence[Floats]) -> Linear:
    """Fit the log-odds that a photo is turned.

    Args:
        orientations: ``pooled`` of the photos, upright and in the three other orientations, which together
            weigh as much as the upright ones.
    """
    n = len(orientations[0])
    weight = np.repeat([1.0, *[1 / (_ORIENTATIONS - 1)] * (_ORIENTATIONS - 1)], n)
    turned = np.repeat([False, True, True, True], n)
    vectors = np.concatenate(list(orientations))
    return linear_fit(np.zeros(len(vectors)), vectors, turned, weight, features=True, penalty=FEATURE_PENALTY)


def pooled(examples: Examples) -> Floats:
    """Average the features of the whole inputs: float32 ``(n, D)``."""
    return np.asarray(examples.features[..., 0, :].mean(axis=1))


def cross_fit(examples: Examples, orientations: Sequence[Examples], seed: int) -> HeldOut:
    """Fit head and orientation for each fold on the other photos, and evaluate them on those of the fold.

    Args:
        examples: photos and their augmentations.
        orientations: the photos without augmentations, in the four orientations; upright first.
    """
    fold_of = np.empty(len(orientations[0].positive), dtype=np.int64)
    for number, (_, test) in enumerate(stratified_folds(orientations[0].positive, FOLDS, seed)):
        fold_of[test] = number
    fold = fold_of[examples.photo]
    vectors, of_examples = [pooled(photos) for photos in orientations], pooled(examples)
    example_logits, examples_turned = np.empty((2, len(fold)))
    logits, turned, thumbnails = np.empty((3, _ORIENTATIONS, len(fold_of)))
    for number in range(FOLDS):
        head = fit(examples[fold != number], features=True)
        example_logits[fold == number] = head_logits(head, examples[fold == number])
        test = fold_of == number
        linear = orientation_fit([photos[~test] for photos in vectors])
        examples_turned[fold == number] = _logits(linear, of_examples[fold == number])
        for quarters, photos in enumerate(orientations):
            logits[quarters, test] = head_logits(head, photos[test])
            turned[quarters, test] = _logits(linear, vectors[quarters][test])
            thumbnails[quarters, test] = _logits(linear, photos.features[test, -1, 0])
    return HeldOut(fold, example_logits, logits, turned, thumbnails, examples_turned)


def turned_above(held_out: HeldOut, share: float = SHARE) -> float:
    """Return the log-odds that this share of the upright photos exceed."""
    return float(np.quantile(held_out.turned[0], 1 - share))


def figures(examples: Examples, upright: Examples, held_out: HeldOut) -> dict[str, Any]:
    """Return the verdicts on photos as they are and for each of ``SHARES``, and what is taken for turned.

    Args:
        upright: the photos without augmentations.
    """
    most_upright = held_out.thumbnails.argmin(axis=0)
    photos = np.arange(len(most_upright))
    soft = examples.soft & ~examples.plain
    results = {}
    for share in SHARES:
        turned_at = turned_above(held_out, share)
        turned = held_out.turned > turned_at
        rotated = turned & (held_out.turned[most_upright, photos] < held_out.turned)
        judged = np.where(rotated, held_out.logits[most_upright, photos], held_out.logits)
        results[f"{share:g}"] = {
            "turned_at": turned_at,
            "taken_for_turned": {
                "upright": _share(turned[0]),
                "turned": _share(turned[1:]),
                "upright_soft_augmentations": _share((held_out.examples_turned > turned_at)[soft]),
            },
            "rotated": {"upright": _share(rotated[0]), "turned": _share(rotated[1:])},
            "verdicts": _verdicts(examples, upright, held_out, judged),
        }
    return {
        "how": f"{FOLDS}-fold cross-validation: orientation, head and thresholds from the other photos",
        "most_upright_is_right": _share(most_upright == 0),
        "verdicts_as_they_are": _verdicts(examples, upright, held_out, held_out.logits),
        "shares": results,
    }


def _verdicts(examples: Examples, upright: Examples, held_out: HeldOut, logits: Doubles) -> dict[str, Any]:
    """Count the verdicts of photos with these logits, ``(4, P)``, at each of ``TARGETS``."""
    return {f"{target:g}": _at(examples, upright, held_out, logits, target) for target in TARGETS}


def _at(
    examples: Examples, upright: Examples, held_out: HeldOut, logits: Doubles, target: float
) -> dict[str, Any]:
    """Count the verdicts of photos with these logits, ``(4, P)``, at thresholds from the other folds."""
    of_examples = held_out.example_logits.copy()
    of_examples[examples.plain] = logits[0]
    fold = held_out.fold[examples.plain]
    called = np.zeros(logits.shape, bool)
    ruled_out = np.zeros(logits.shape, bool)
    for number in range(FOLDS):
        others, test = held_out.fold != number, fold == number
        thresholds = choose_thresholds(examples[others], of_examples[others])
        cat_at = np.where(upright.soft[test], thresholds.soft[target], thresholds.cat[target])
        called[:, test] = logits[:, test] >= cat_at
        ruled_out[:, test] = logits[:, test] < thresholds.not_cat[NOT_CAT_TARGET]
    groups = {"cat": upright.positive, **kinds_of_others(upright)}
    return {
        name: {
            kind: {
                "called_cat": _share(called[rows][:, group]),
                "unsure": _share(~(called | ruled_out)[rows][:, group]),
            }
            for kind, group in groups.items()
        }
        for name, rows in (("upright", slice(0, 1)), ("turned", slice(1, None)))
    }


def _logits(linear: Linear, vectors: Floats) -> Doubles:
    return linear.logits(np.zeros(len(vectors)), vectors)


def _share(flags: Flags | npt.NDArray[np.bool_]) -> dict[str, float]:
    counted = rate(int(flags.sum()), flags.size)
    return {"photos": counted.errors, "n": counted.n, "share": round(counted.rate, 5)}
