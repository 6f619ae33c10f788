"""The gate of the accuracy benchmark: limits that no model may fall behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.command_line import CannotRun

REGRESSION = 3
"""Exit code of a run that fell behind its gate."""

_CHECKS = {
    "min_recall": ("recall", 1),
    "max_false_positive_rate": ("false_positive_rate", -1),
    "min_auc": ("auc", 1),
    "max_ece": ("ece", -1),
    "min_recall_at_fpr_0.003": ("recall_at_fpr_0.003", 1),
    "min_recall_at_fpr_0.01": ("recall_at_fpr_0.01", 1),
}
"""Limit -> figure and the direction in which it is better."""


class BadGate(CannotRun):
    """The gate's file says nothing that could be checked: it must not pass for a gate that held."""


def load_gate(path: Path) -> dict[str, dict[str, float]]:
    """``{"models": {NAME: {LIMIT: number}}}``."""
    try:
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
        limits = {str(name): {str(k): float(v) for k, v in wanted.items()} for name, wanted in models.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadGate(f"gate {path} cannot be read: {type(error).__name__}: {error}") from error
    unknown = {limit for wanted in limits.values() for limit in wanted} - set(_CHECKS)
    if unknown or not any(limits.values()):
        raise BadGate(
            f"gate {path}: takes {', '.join(_CHECKS)}; says {', '.join(sorted(unknown)) or 'nothing'}"
        )
    return limits


def figures(model: Mapping[str, Any]) -> dict[str, float]:
    """What a gate can bound, from one model's result."""
    ours = model["rules"]["ours"]
    return {
        "recall": ours["recall"]["rate"],
        "false_positive_rate": ours["false_positive_rate"]["rate"],
        "auc": model["auc"],
        "ece": model["ece"],
        **{f"recall_at_fpr_{target}": found["rate"] for target, found in model["recall_at_fpr"].items()},
    }


def regressions(result: Mapping[str, Any], gate: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One sentence for each limit that is not held; a model that was not measured holds none."""
    found = []
    for name, limits in gate.items():
        if name not in result["models"]:
            found.append(f"{name}: the gate names it, this run did not measure it")
            continue
        got = figures(result["models"][name])
        for limit, bound in limits.items():
            figure, better = _CHECKS[limit]
            if not better * got[figure] >= better * bound:  # so written, a NaN fails
                found.append(f"{name}: {figure} is {got[figure]:.4f}, the gate says {limit} {bound:.4f}")
    return found
