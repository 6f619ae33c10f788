"""Charts of the accuracy report: matplotlib's SVG, adapted to the page's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from sklearn.metrics import roc_curve

from checker.decision.profile import OperatingPoint
from checker.evaluation.intervals import wilson
from checker.evaluation.statistics import Flags
from checker.values import Verdict
from scripts.accuracy.rules import CATLOADER, Rule

Counts = npt.NDArray[np.float64]
LEAST_ERRORS = 3
"""With fewer errors a curve lies on the axes and shows nothing, even on a logarithmic axis."""
_INK = "#010203"
"""Placeholder for the page's text colour until the SVG is embedded in the page."""
_COLOURS = ("#c2570c", "#3b82f6", "#16a34a", "#a855f7", "#64748b")
"""Readable on the light page and on the dark one."""
_STYLE: Any = {
    "svg.fonttype": "none",  # text remains text: it is searchable, and uses the page's font
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
    """Count missed cats and other photos called cat, at the threshold with the fewest errors."""
    false, true, _ = roc_curve(positive, rule.scores, drop_intermediate=False)
    return round(float((false * (~positive).sum() + (1 - true) * positive.sum()).min()))


def curves(rules: Sequence[Rule], positive: Flags, points: Sequence[OperatingPoint]) -> list[str]:
    """Draw ROC and precision over recall, with 95 % intervals and all rules as points.

    All axes show errors and are logarithmic, because these rates lie near the perfect corner, where linear
    axes show nothing. A point without errors is drawn at half an error.
    """
    catloader, best_label = rules[0], rules[1]
    n_cats, n_others = int(positive.sum()), int((~positive).sum())
    roc, roc_axes = _figure()
    precision, precision_axes = _figure()
    for rule, colour, name in (
        (catloader, _COLOURS[0], CATLOADER),
        (best_label, _COLOURS[1], "confidence of the best cat class"),
    ):
        style: dict[str, Any] = {"floor": 0.5 / n_cats, "colour": colour, "name": name}
        false, true, _ = roc_curve(positive, rule.scores, drop_intermediate=False)
        hits, wrong = np.rint(true * n_cats), np.rint(false * n_others)
        _band(roc_axes, wrong, n_others, n_cats - hits, np.full(len(hits), n_cats), **style)
        called = hits + wrong > 0
        among = (hits + wrong)[called]
        _band(precision_axes, (n_cats - hits)[called], n_cats, wrong[called], among, **style)
    spots = [(catloader.scores >= point.threshold, _COLOURS[0], "o") for point in points]
    spots += [(rule.verdicts == Verdict.CAT, _COLOURS[1], "x") for rule in rules[1:]]
    for called, colour, marker in spots:
        missed, wrong = int((~called[positive]).sum()), int(called[~positive].sum())
        _spot(roc_axes, (wrong, n_others), (missed, n_cats), colour, marker)
        if called.any():
            _spot(precision_axes, (missed, n_cats), (wrong, int(called.sum())), colour, marker)
    _error_axis(roc_axes, "x", f"others called cat, of {n_others}", 0.5 / n_others)
    _error_axis(roc_axes, "y", f"cats missed, of {n_cats}", 0.5 / n_cats)
    _error_axis(precision_axes, "x", f"cats missed, of {n_cats} (1 - recall)", 0.5 / n_cats)
    _error_axis(precision_axes, "y", "wrong among those called cat (1 - precision)", 0.5 / n_cats)
    for axes in (roc_axes, precision_axes):
        axes.legend(loc="upper right", frameon=False, labelcolor=_INK)
    return [_svg(roc, "ROC curve"), _svg(precision, "Precision and recall")]


def reliability(rows: Sequence[dict[str, float]], ece: float) -> str:
    """Draw the share of cats over the mean score of each bin, with 95 % intervals.

    The size of a point grows with the number of photos in its bin.
    """
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], "--", color=_COLOURS[-1], label="perfect")
    scores, shares, counts = (np.array([row[key] for row in rows]) for key in ("score", "share", "n"))
    ends = np.array([wilson(round(share * n), int(n)) for share, n in zip(shares, counts, strict=True)])
    axes.vlines(scores, ends[:, 0], ends[:, 1], color=_COLOURS[0], alpha=0.5)
    axes.plot(scores, shares, color=_COLOURS[0], label=f"measured (ECE {ece:.3f})")
    axes.scatter(scores, shares, s=12 + 12 * np.log2(counts), color=_COLOURS[0])
    axes.set(xlabel="score", ylabel="share of cats")
    axes.legend(loc="upper left", frameon=False, labelcolor=_INK)
    return _svg(figure, "Reliability")


def _band(
    axes: Axes,
    x_errors: Counts,
    x_n: int,
    y_errors: Counts,
    y_n: Counts,
    *,
    floor: float,
    colour: str,
    name: str,
) -> None:
    """Draw a curve of errors, with the interval of the y value at each x."""
    x = np.maximum(x_errors, 0.5) / x_n
    y = np.where(y_errors > 0, y_errors / y_n, floor)
    ends = np.array([wilson(int(errors), int(n)) for errors, n in zip(y_errors, y_n, strict=True)])
    axes.plot(x, y, color=colour, label=name, drawstyle="steps-post")
    axes.fill_between(
        x, np.maximum(ends[:, 0], floor / 2), ends[:, 1], step="post", color=colour, alpha=0.15, linewidth=0
    )


def _spot(axes: Axes, x: tuple[int, int], y: tuple[int, int], colour: str, marker: str) -> None:
    """Draw a point from (errors, n) of each axis, with the intervals of both."""
    place = [max(errors, 0.5) / n for errors, n in (x, y)]
    ends = [wilson(errors, n) for errors, n in (x, y)]
    arms = [
        [[max(middle - low, 0)], [max(high - middle, 0)]]
        for middle, (low, high) in zip(place, ends, strict=True)
    ]
    axes.errorbar(
        place[0], place[1], xerr=arms[0], yerr=arms[1], fmt=marker, color=colour, elinewidth=0.7, alpha=0.9
    )


def _error_axis(axes: Axes, axis: str, label: str, least: float) -> None:
    """Make one axis logarithmic, from half an error to all photos, in per cent."""
    one = axes.xaxis if axis == "x" else axes.yaxis
    (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    (axes.set_xlim if axis == "x" else axes.set_ylim)(0.7 * least, 1)  # a marker on the edge is not clipped
    one.set_label_text(label)
    one.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    one.set_minor_formatter(NullFormatter())


def _figure() -> tuple[Figure, Axes]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.6), layout="constrained")
        return figure, figure.add_subplot()


def _svg(figure: Figure, title: str) -> str:
    """Return an SVG element to embed in a page, scaled by the page, with a name for screen readers."""
    out = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r' width="[^"]*pt" height="[^"]*pt"|width="[^"]*pt" height="[^"]*pt" ', "", svg, count=1)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
