"""Fit a model's orientation, and judge it and the verdicts on photos that no fit has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from checker.decision.head import Doubles, Linear
from checker.evaluation.examples import Examples, Flags, Indices
from checker.evaluation.fit import FEATURE_PENALTY, fit, head_logits, linear_fit, stratified_folds
from checker.evaluation.thresholds import FOLDS, choose_thresholds, kinds_of_others
from checker.values import Floats
from scripts.orientation.measure import Orientations

SHARE, MARGIN = 0.05, 2.0
"""The chosen rule: the share of the upright photos that are examined in other orientations, and the log-odds
by which another orientation must look more upright."""
RULES = ((0.02, MARGIN), (SHARE, 0.0), (SHARE, MARGIN), (0.1, MARGIN))
"""Rules whose verdicts are compared."""
SOFT_WEIGHT = 0.5
"""Weight of a soft augmentation in the fit; the photo itself has weight 1."""
_TARGET = 0.01
"""The default rates."""
_ORIENTATIONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The results of fits that did not see the photo.

    E examples, of which R are photos and soft augmentations (``Orientations.upright``) with four orientations
    each, upright first.
    """

    fold: Indices
    """``(E,)``."""
    example_logits: Doubles
    """``(E,)``: the heads' logits."""
    logits: Doubles
    """``(4, R)``: the heads' logits."""
    turned: Doubles
    """``(4, R)``: the log-odds that the photo is turned."""
    thumbnails: Doubles
    """``(4, R)``: the same from the thumbnails alone."""


def orientation_fit(measured: Orientations) -> Linear:
    """Fit the log-odds that a photo is turned; its three rotations together weigh as much as itself."""
    weight = np.where(measured.upright.plain, 1.0, SOFT_WEIGHT)
    return _fit([_pooled(photos) for photos in (measured.upright, *measured.rotated)], weight)


def _fit(vectors: Sequence[Floats], weight: Doubles) -> Linear:
    rotations = len(vectors) - 1
    return linear_fit(
        np.zeros(len(vectors) * len(weight)),
        np.concatenate(vectors),
        np.repeat([False, *[True] * rotations], len(weight)),
        np.concatenate([weight, *[weight / rotations] * rotations]),
        features=True,
        penalty=FEATURE_PENALTY,
    )


def _pooled(examples: Examples) -> Floats:
    """Average the features of the whole inputs: float32 ``(n, D)``."""
    return np.asarray(examples.features[..., 0, :].mean(axis=1))


def cross_fit(measured: Orientations, seed: int) -> HeldOut:
    """Fit head and orientation for each fold on the other photos, and evaluate them on those of the fold."""
    examples, upright = measured.examples, measured.upright
    positive = examples.positive[examples.plain]
    fold_of = np.empty(len(positive), dtype=np.int64)
    for number, (_, test) in enumerate(stratified_folds(positive, FOLDS, seed)):
        fold_of[test] = number
    fold, fold_of_upright = fold_of[examples.photo], fold_of[upright.photo]
    example_logits = np.empty(len(fold))
    logits, turned, thumbnails = np.empty((3, _ORIENTATIONS, len(fold_of_upright)))
    orientations = (upright, *measured.rotated)
    vectors = [_pooled(photos) for photos in orientations]
    weight = np.where(upright.plain, 1.0, SOFT_WEIGHT)
    for number in range(FOLDS):
        head = fit(examples[fold != number], features=True)
        example_logits[fold == number] = head_logits(head, examples[fold == number])
        test = fold_of_upright == number
        linear = _fit([pooled[~test] for pooled in vectors], weight[~test])
        for quarters, photos in enumerate(orientations):
            logits[quarters, test] = head_logits(head, photos[test])
            turned[quarters, test] = _log_odds(linear, vectors[quarters][test])
            thumbnails[quarters, test] = _log_odds(linear, photos.features[test, -1, 0])
    return HeldOut(fold, example_logits, logits, turned, thumbnails)


def _log_odds(linear: Linear, vectors: Floats) -> Doubles:
    return linear.logits(np.zeros(len(vectors)), vectors)


def turned_above(upright: Examples, held_out: HeldOut, share: float = SHARE) -> float:
    """Return the log-odds that this share of the upright photos exceed."""
    return float(np.quantile(held_out.turned[0, upright.plain], 1 - share))


def figures(measured: Orientations, held_out: HeldOut) -> dict[str, Any]:
    """Return the shares of examined and rotated photos, and the verdicts, as photos lie and by each rule."""
    upright = measured.upright
    groups = {"sharp": upright.plain & ~upright.soft, "soft": ~upright.plain & upright.soft}
    most_upright, photos = held_out.thumbnails.argmin(axis=0), np.arange(len(upright.positive))
    rules = []
    for share, margin in RULES:
        turned_at = turned_above(upright, held_out, share)
        examined = held_out.turned > turned_at
        rotated = examined & (held_out.turned[most_upright, photos] < held_out.turned - margin)
        logits = np.where(rotated, held_out.logits[most_upright, photos], held_out.logits)
        rules.append(
            {
                "share": share,
                "margin": margin,
                "turned_at": turned_at,
                "examined": _shares(examined, {"all": upright.plain, **groups}),
                "rotated": _shares(rotated, {"all": upright.plain, **groups}),
                "verdicts": _verdicts(measured, held_out, logits),
            }
        )
    return {
        "how": f"{FOLDS}-fold cross-validation: orientation, head and thresholds from the other photos; "
        f"verdicts at rates of {_TARGET:g}; soft: soft augmentations",
        "most_upright_is_right": _share((most_upright == 0)[upright.plain]),
        "as_they_lie": _verdicts(measured, held_out, held_out.logits),
        "rules": rules,
    }


def _verdicts(measured: Orientations, held_out: HeldOut, logits: Doubles) -> dict[str, Any]:
    """Count the verdicts of photos with these logits, ``(4, R)``, at thresholds from the other folds."""
    examples, upright = measured.examples, measured.upright
    of_examples = held_out.example_logits.copy()
    kept = np.isin(examples.augmentation, upright.augmentation)
    of_examples[kept] = logits[0]
    fold = held_out.fold[kept]
    called, ruled_out = np.zeros((2, *logits.shape), bool)
    for number in range(FOLDS):
        others, test = held_out.fold != number, fold == number
        thresholds = choose_thresholds(examples[others], of_examples[others])
        cat_at = np.where(upright.soft[test], thresholds.soft[_TARGET], thresholds.cat[_TARGET])
        called[:, test] = logits[:, test] >= cat_at
        ruled_out[:, test] = logits[:, test] < thresholds.not_cat[_TARGET]
    soft = ~upright.plain & upright.soft
    groups = {
        "cat": upright.plain & upright.positive,
        **kinds_of_others(upright),
        "soft cat": soft & upright.positive,
        "soft other": soft & ~upright.positive,
    }
    return {"called_cat": _shares(called, groups), "unsure": _shares(~(called | ruled_out), groups)}


def _shares(flags: Flags, groups: dict[str, Flags]) -> dict[str, Any]:
    """Return the share of each group, upright and turned; ``flags`` are ``(4, R)``."""
    return {
        name: {kind: _share(flags[orientations][:, group]) for kind, group in groups.items()}
        for name, orientations in (("upright", slice(0, 1)), ("turned", slice(1, None)))
    }


def _share(flags: Flags) -> dict[str, float]:
    return {"photos": int(flags.sum()), "n": flags.size, "share": round(float(flags.mean()), 5)}
