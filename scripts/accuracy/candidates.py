"""Candidate scores, compared by repeated stratified cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import log_loss

from checker.decision.head import sigmoid
from checker.evaluation.fit import Doubles, Flags, Inputs, fit, stratified_folds
from checker.evaluation.statistics import auc, recall_at_fpr

TARGETS = (0.003, 0.01, 0.02)
FOLDS = 5
Score = Callable[[Inputs, Flags, Inputs], Doubles]
"""(photos to fit on, their labels, photos to judge) -> logits of the latter."""


def _fitted(**options: Any) -> Score:
    return lambda train, labels, test: test.logits(fit(train, labels, **options))


def _one_rendition(column: int, score: Score) -> Score:
    """Score as if both renditions were the photo (0) or the thumbnail (1)."""

    def only(inputs: Inputs) -> Inputs:
        features = (inputs.photo, inputs.thumbnail)[column]
        return Inputs(np.repeat(inputs.odds[:, [column]], 2, axis=1), features, features)

    return lambda train, labels, test: score(only(train), labels, only(test))


CANDIDATES: dict[str, Score] = {
    "softmax mass, photo": lambda _train, _labels, test: test.odds[:, 0],
    "softmax mass, thumbnail": lambda _train, _labels, test: test.odds[:, 1],
    "softmax mass, better of both": lambda _train, _labels, test: test.odds.max(axis=1),
    "softmax mass, mean log-odds of both": lambda _train, _labels, test: test.odds.mean(axis=1),
    "softmax mass, two fitted weights": _fitted(features=False),
    "probe, photo": _one_rendition(0, _fitted(features=True, single_renditions=False)),
    "probe, thumbnail": _one_rendition(1, _fitted(features=True, single_renditions=False)),
    "probe, both": _fitted(features=True, single_renditions=False),
    "probe, both, fitted on each rendition alone too": _fitted(features=True),
    "  ... penalty 10": _fitted(features=True, penalty=10.0),
    "  ... penalty 100": _fitted(features=True, penalty=100.0),
}


def compare(
    inputs: Inputs, positive: Flags, repeats: int, show: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Return the means over the repeats, by candidate; ``show`` gets each as a line when it is known."""
    names = ["auc", "log_loss", *(f"recall_at_fpr_{target:g}" for target in TARGETS)]
    rows = {}
    for name, score in CANDIDATES.items():
        figures = []
        for seed in range(repeats):
            logits = np.empty(len(positive))
            for train, test in stratified_folds(positive, FOLDS, seed):
                logits[test] = score(inputs[train], positive[train], inputs[test])
            loss = log_loss(positive, sigmoid(logits))
            recalls = [recall_at_fpr(logits, positive, target).rate for target in TARGETS]
            figures.append([auc(logits, positive), loss, *recalls])
        rows[name] = dict(zip(names, (float(mean) for mean in np.mean(figures, axis=0)), strict=True))
        show(f"{name:48}" + "  ".join(f"{key} {value:.5f}" for key, value in rows[name].items()))
    return rows
