"""Synthetic scores of photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from checker.decision.operating_point import DEFAULT_THRESHOLDS
from checker.evaluation.intervals import rate
from checker.evaluation.photos import WILD_FELINE
from checker.evaluation.provenance import provenance
from checker.evaluation.statistics import Flags
from checker.pixels.facts import Facts
from checker.values import ModelInfo
from scripts.accuracy.breakdown import by_kind, by_slice
from scripts.accuracy.rules import CATLOADER, OTHERS, Rule
from scripts.accuracy.run import Compared, count
from scripts.accuracy.scores.scores import PhotoScore, Scores

FACTS = Facts(width_px=500, height_px=375, sharpness=20.0, brightness=100.0, colour=30.0)
TABBY, DALMATIAN = 281, 251


def photo_score(score: float, **fields: Any) -> PhotoScore:
    values = {
        "vetoed": False,
        "soft": False,
        "wild": False,
        "best": score,
        "top": TABBY if score > 0.5 else DALMATIAN,
    }
    return PhotoScore(**{"score": score, **values, "renditions_sha256": "00", "facts": FACTS, **fields})


def scores_of(
    labels: Sequence[str], rows: Sequence[PhotoScore], kinds: Sequence[str] | None = None, **fields: Any
) -> Scores:
    values: dict[str, Any] = {
        "names": [f"<{number}>" for number in range(len(labels))],
        "labels": np.array(labels),
        "kinds": np.array(kinds or ["wild feline" if label == WILD_FELINE else label for label in labels]),
        "rows": rows,
        "data": {"counts": {"cat": 1, "not_cat": 1}, "sha256": "00"},
        "model_info": ModelInfo("efficientnet_lite0", "00", "torch", "fp32", "cpu"),
        "profile": None,
        "held_out": None,
        "photos_per_s": 1.0,
        "peak_bytes": 1,
    }
    return Scores(**{**values, **fields})


def rules_with_errors(errors: int) -> tuple[list[Rule], Flags]:
    """Return rules applied to 100 cats and to 100 others, of which the first ``errors`` score like cats."""
    positive = np.arange(200) < 100
    scores = np.where(positive, 0.9, 0.1) + np.linspace(0, 0.05, 200)
    scores[100 : 100 + errors] = 0.92
    verdicts = np.where(scores >= 0.5, "cat", "not_cat")
    return [
        Rule(name, scores, verdicts, verdicts[:0], DEFAULT_THRESHOLDS) for name in (CATLOADER, *OTHERS)
    ], positive


def compared(errors: int, kinds: Sequence[str] | None = None) -> Compared:
    """Return one model's result with ``errors`` false positives."""
    applied, positive = rules_with_errors(errors)
    rows = [photo_score(float(score)) for score in applied[0].scores]
    scores = scores_of(np.where(positive, "cat", "not_cat").tolist(), rows, kinds)
    model = {
        "profile_id": "uncalibrated",
        "scores": "as served",
        "auc": 0.9,
        "ece": 0.1,
        "reliability": [{"score": 0.1, "share": 0.2, "n": 5}],
        "recall_at_fpr": {target: asdict(rate(1, 9)) for target in ("0.003", "0.01")},
        "rules": {rule.name: count(rule, positive) for rule in applied},
        "kinds": by_kind(scores, applied[0]),
        "slices": by_slice(scores, applied[0]),
        "photos_per_s": 1.0,
        "peak_bytes": 1,
    }
    return Compared("efficientnet_lite0", scores, applied, model)


def result_of(one: Compared) -> dict[str, Any]:
    """Return the result of a whole run."""
    return {**provenance(), "data": one.scores.data, "models": {one.name: one.result}, "mcnemar": []}
