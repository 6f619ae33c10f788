"""The gate of the accuracy benchmark: minimum and maximum values for each model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.accuracy.rules import CATLOADER
from scripts.command_line import CannotRun

REGRESSION = 3
"""Exit code of a run that broke a limit of the gate."""

_LIMITS = {
    "min_recall": ("recall", 1),
    "max_false_positive_rate": ("false_positive_rate", -1),
    "min_auc": ("auc", 1),
    "max_ece": ("ece", -1),
    "min_recall_at_fpr_0.003": ("recall_at_fpr_0.003", 1),
    "min_recall_at_fpr_0.01": ("recall_at_fpr_0.01", 1),
}
"""Limit -> figure, and the direction in which the figure is better."""


class BadGate(CannotRun):
    """The gate's file is unreadable or has no limit to check, so the run must not count as passed."""


def load_gate(path: Path) -> dict[str, dict[str, float]]:
    """Read ``{"models": {NAME: {LIMIT: number}}}``; return its models.

    Raises:
        BadGate: the file cannot be read, has an unknown limit, or has no limit.
    """
    try:
        models = json.loads(path.read_bytes())["models"]
        gate = {str(name): {str(k): float(v) for k, v in limits.items()} for name, limits in models.items()}
    except OSError as error:
        raise BadGate(f"gate {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadGate(f"gate {path} is not JSON with models and their limits ({error})") from error
    unknown = {limit for limits in gate.values() for limit in limits} - set(_LIMITS)
    if unknown:
        raise BadGate(f"gate {path}: no limit {', '.join(sorted(unknown))}; there are {', '.join(_LIMITS)}")
    if not any(gate.values()):
        raise BadGate(f"gate {path} has no limit; there are {', '.join(_LIMITS)}")
    return gate


def figures(model: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that a gate can limit, from one model's result."""
    rule = model["rules"][CATLOADER]
    return {
        "recall": rule["recall"]["rate"],
        "false_positive_rate": rule["false_positive_rate"]["rate"],
        "auc": model["auc"],
        "ece": model["ece"],
        **{f"recall_at_fpr_{target}": recall["rate"] for target, recall in model["recall_at_fpr"].items()},
    }


def regressions(result: Mapping[str, Any], gate: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return one sentence for each broken limit; a model that was not measured breaks all of its limits."""
    sentences = []
    for name, limits in gate.items():
        if name not in result["models"]:
            sentences.append(f"{name}: the gate limits it, but this run did not measure it")
            continue
        measured = figures(result["models"][name])
        for limit, bound in limits.items():
            figure, better = _LIMITS[limit]
            if not better * measured[figure] >= better * bound:  # "<" would let NaN pass
                sentences.append(
                    f"{name}: {figure} is {measured[figure]:.4f}, the gate has {limit} {bound:.4f}"
                )
    return sentences
