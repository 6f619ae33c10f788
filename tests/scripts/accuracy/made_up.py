"""Scores of photos that do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checker.evaluation.photos import WILD_FELINE
from checker.values import ModelInfo
from scripts.accuracy.facts import Facts
from scripts.accuracy.scores import PhotoScore, Scores

FACTS = Facts(width_px=500, height_px=375, sharpness=20.0, brightness=100.0, colour=30.0)
TABBY, DALMATIAN = 281, 251


def photo_score(score: float, **fields: Any) -> PhotoScore:
    values = {"vetoed": False, "wild": False, "best": score, "top": TABBY if score > 0.5 else DALMATIAN}
    return PhotoScore(**{"score": score, **values, "renditions_sha256": "00", "facts": FACTS, **fields})


def scores_of(
    labels: Sequence[str], rows: Sequence[PhotoScore], kinds: Sequence[str] | None = None, **fields: Any
) -> Scores:
    values: dict[str, Any] = {
        "names": [f"<{number}>" for number in range(len(labels))],
        "labels": np.array(labels),
        "kinds": np.array(kinds or ["wild feline" if one == WILD_FELINE else one for one in labels]),
        "rows": rows,
        "data": {"counts": {"cat": 1, "not_cat": 1}, "sha256": "00"},
        "model_info": ModelInfo("efficientnet_lite0", "00", "torch", "fp32", "cpu"),
        "profile": None,
        "held_out": None,
        "photos_per_s": 1.0,
        "peak_bytes": 1,
    }
    return Scores(**{**values, **fields})
