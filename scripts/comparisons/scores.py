"""Candidate scores, compared by repeated stratified cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sklearn.metrics import log_loss

from checker.decision.head import BEYOND, KNEE, Doubles, sigmoid
from checker.evaluation.examples import Examples
from checker.evaluation.fit import FEATURE_PENALTY, fit, head_logits, stratified_folds
from checker.evaluation.statistics import auc, recall_at_fpr

TARGETS = (0.003, 0.01, 0.02)
FOLDS = 5
Score = Callable[[Examples, Examples], Doubles]
"""(photos to fit on, photos to score) -> logits of the latter."""


def _fitted(
    *, knee: float = KNEE, beyond: float = BEYOND, features: bool = True, penalty: float = FEATURE_PENALTY
) -> Score:
    def score(train: Examples, test: Examples) -> Doubles:
        head = fit(train, features=features, penalty=penalty)
        return head_logits(replace(head, knee=knee, beyond=beyond), test)

    return score


def _whole(train: Examples, test: Examples) -> Doubles:
    whole = fit(train, features=True).whole
    return np.asarray(whole.logits(test.odds[:, :, 0], test.features[:, :, 0]).mean(axis=1))


def _window(train: Examples, test: Examples) -> Doubles:
    window = fit(train, features=True).window
    return np.asarray(window.logits(test.odds, test.features).max(axis=(1, 2)))


CANDIDATES: dict[str, Score] = {
    "softmax mass, thumbnail": lambda _, test: test.odds[:, -1, 0],
    "softmax mass, mean of the inputs": lambda _, test: test.odds[:, :, 0].mean(axis=1),
    "softmax mass, best window": lambda _, test: test.odds.max(axis=(1, 2)),
    "softmax mass, fitted": _fitted(features=False),
    "probe, whole inputs": _whole,
    "probe, best window": _window,
    "probe, both": _fitted(),
    "  ... knee -1": _fitted(knee=-1.0),
    "  ... half counts beyond": _fitted(beyond=0.5),
    "  ... penalty 30": _fitted(penalty=30.0),
    "  ... penalty 500": _fitted(penalty=500.0),
}


def compare(examples: Examples, repeats: int, show: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return candidate -> means over the repeats; ``show`` receives one line for each when it is measured."""
    positive = examples.positive
    names = ["auc", "log_loss", *(f"recall_at_fpr_{target:g}" for target in TARGETS)]
    rows = {}
    for name, score in CANDIDATES.items():
        figures = []
        for seed in range(repeats):
            logits = np.empty(len(positive))
            for train, test in stratified_folds(positive, FOLDS, seed):
                logits[test] = score(examples[train], examples[test])
            loss = log_loss(positive, sigmoid(logits))
            recalls = [recall_at_fpr(logits, positive, target).rate for target in TARGETS]
            figures.append([auc(logits, positive), loss, *recalls])
        rows[name] = dict(zip(names, (float(mean) for mean in np.mean(figures, axis=0)), strict=True))
        show(f"{name:48}" + "  ".join(f"{key} {value:.5f}" for key, value in rows[name].items()))
    return rows
