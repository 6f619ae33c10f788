"""Charts of the accuracy report: matplotlib's SVG, made to follow the page's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from checker.decision.profile import OperatingPoint
from checker.evaluation.statistics import Flags
from checker.values import Verdict
from scripts.accuracy.rules import CATLOADER, Rule

LEAST_ERRORS = 3
"""With fewer a curve hugs the axes and shows nothing, even with a log axis."""
_INK = "#010203"
"""Stands for the page's text colour until the SVG is put into the page."""
_COLOURS = ("#c2570c", "#3b82f6", "#16a34a", "#a855f7", "#64748b")
"""Readable on the light and on the dark page."""
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "accuracy",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _COLOURS[-1],
    "grid.alpha": 0.25,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "font.size": 10,
}


def fewest_errors(rule: Rule, positive: Flags) -> int:
    """Count missed cats and others called cat, at the threshold that makes the fewest of both."""
    false, true, _ = roc_curve(positive, rule.scores, drop_intermediate=False)
    return round(float((false * (~positive).sum() + (1 - true) * positive.sum()).min()))


def curves(rules: Sequence[Rule], positive: Flags, points: Sequence[OperatingPoint]) -> list[str]:
    """Draw ROC (false positives on a log axis) and precision over recall, with all rules as points."""
    catloader, best_label = rules[0], rules[1]
    smallest = 0.5 / int((~positive).sum())
    roc, roc_axes = _figure()
    precision, precision_axes = _figure()
    for rule, colour, name in (
        (catloader, _COLOURS[0], CATLOADER),
        (best_label, _COLOURS[1], "confidence of the best cat class"),
    ):
        style: dict[str, Any] = {"color": colour, "label": name, "drawstyle": "steps-post"}
        false, true, _ = roc_curve(positive, rule.scores, drop_intermediate=False)
        roc_axes.plot(np.maximum(false, smallest), true, **style)
        shares, recalls, _ = precision_recall_curve(positive, rule.scores)
        precision_axes.plot(recalls, shares, **style)
    spots = [(catloader.scores >= point.threshold, _COLOURS[0], "o") for point in points]
    spots += [(rule.verdicts == Verdict.CAT, _COLOURS[1], "x") for rule in rules[1:]]
    for called, colour, marker in spots:
        found, wrong = float(called[positive].mean()), float(called[~positive].mean())
        roc_axes.plot(max(wrong, smallest), found, marker, color=colour)
        if called.any():
            precision_axes.plot(found, float(positive[called].mean()), marker, color=colour)
    roc_axes.set(xscale="log", xlabel=f"false positive rate (log; left edge: none of {(~positive).sum()})")
    roc_axes.set(ylabel="recall", xlim=(smallest, 1))
    precision_axes.set(xlabel="recall", ylabel="precision")
    for axes in (roc_axes, precision_axes):
        axes.legend(loc="lower right" if axes is roc_axes else "lower left", frameon=False, labelcolor=_INK)
    return [_svg(roc, "ROC curve"), _svg(precision, "Precision and recall")]


def reliability(rows: Sequence[dict[str, float]], ece: float) -> str:
    """Draw the share of cats over the mean score of each bin; a larger point is a bin of more photos."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], "--", color=_COLOURS[-1], label="perfect")
    scores, shares, counts = (np.array([row[key] for row in rows]) for key in ("score", "share", "n"))
    axes.plot(scores, shares, color=_COLOURS[0], label=f"measured (ECE {ece:.3f})")
    axes.scatter(scores, shares, s=12 + 12 * np.log2(counts), color=_COLOURS[0])
    axes.set(xlabel="score", ylabel="share of cats")
    axes.legend(loc="upper left", frameon=False, labelcolor=_INK)
    return _svg(figure, "Reliability")


def _figure() -> tuple[Figure, Axes]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.6), layout="constrained")
        return figure, figure.add_subplot()


def _svg(figure: Figure, title: str) -> str:
    """Return an element to put into a page, sized by the page, with a name for screen readers."""
    out = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r' width="[^"]*pt" height="[^"]*pt"|width="[^"]*pt" height="[^"]*pt" ', "", svg, count=1)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
