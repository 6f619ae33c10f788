"""The HTML report of the accuracy benchmark: one file, charts and thumbnails inside, no other host."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve

from checker.decision.profile import Profile
from checker.evaluation.statistics import Flags
from scripts._measure import Measured
from scripts._photos import LabelledPhoto
from scripts.accuracy.rules import Rule
from scripts.accuracy.svg import Line, chart

WORST = 12
CONTACT_PX = 128
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1f2328}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .7rem;border-bottom:1px solid #d8dee4;text-align:right}
td:first-child,th:first-child{text-align:left}svg{width:30rem;max-width:100%}.title{font-weight:600;text-anchor:middle}
.tick{font-size:10px;text-anchor:middle;fill:#57606a}.axis{font-size:11px;text-anchor:middle;fill:#57606a}
.key{font-size:11px;text-anchor:end}.grid{stroke:#d8dee4;stroke-width:.6}figure{display:inline-block;margin:.3rem;width:8rem}
figcaption{font-size:11px;overflow-wrap:anywhere;color:#57606a}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One network's part of the report."""

    name: str
    measured: Measured
    rules: list[Rule]
    profile: Profile | None
    result: dict[str, Any]

    @property
    def positive(self) -> Flags:
        """Without the wild felines, as the rules have it."""
        return np.asarray(self.measured.positive[~self.measured.wild])

    @property
    def names(self) -> list[str]:
        return [name for name, wild in zip(self.measured.names, self.measured.wild, strict=True) if not wild]


def report(result: dict[str, Any], shown: Sequence[Compared], photos: Sequence[LabelledPhoto]) -> str:
    machine = result["machine"]
    parts = [
        f"<p>{escape(str(result['data']['counts']))}; data {result['data']['sha256'][:12]}, "
        f"commit {escape(result['commit'][:20])}, {escape(result['date'])}, {escape(machine['processor'])}, "
        f"{machine['cores']} cores. <code>{escape(result['command'])}</code></p>"
    ]
    parts += _comparison(result)
    for one in shown:
        parts += _network(one, {photo.name: photo for photo in photos})
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Accuracy of the Cat Checker</title>'
        f"<style>{_STYLE}</style><h1>Accuracy of the Cat Checker</h1>{''.join(parts)}</html>\n"
    )


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + f"</tr>{body}</table>"


def _share(row: dict[str, Any]) -> str:
    return f"{row['rate']:.2%} ({row['low']:.2%} - {row['high']:.2%})"


def _comparison(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{model['auc']:.5f}",
            f"{model['ece']:.4f}",
            *(_share(model["recall_at_fpr"][t]) for t in ("0.003", "0.01")),
            str(model["photos_per_s"]),
            f"{model['peak_bytes'] / 2**20:.0f} MiB",
        ]
        for name, model in result["models"].items()
    ]
    head = ["network", "AUC", "ECE", "recall at 0.3 % FPR", "at 1 % FPR", "photos/s", "peak memory"]
    pairs = [
        [p["first"], p["second"], str(p["only_first"]), str(p["only_second"]), f"{p['p']:.3f}"]
        for p in result["mcnemar"]
    ]
    parts = [_rows(head, rows)]
    if pairs:
        parts.append("<h2>McNemar's test between networks, our rule</h2>")
        parts.append(_rows(["first", "second", "only the first is right", "only the second", "p"], pairs))
    return parts


def _network(one: Compared, photos: dict[str, LabelledPhoto]) -> list[str]:
    ours, positive, result = one.rules[0], one.positive, one.result
    parts = [f"<h2>{escape(one.name)}</h2><p>{escape(result['profile_id'])}: {escape(result['scores'])}</p>"]
    rows = [
        [
            rule,
            *(str(row["confusion"][cell]) for cell in row["confusion"]),
            _share(row["recall"]),
            _share(row["false_positive_rate"]),
            f"{row['wild_felines_called_cat']['errors']} of {row['wild_felines_called_cat']['n']}",
        ]
        for rule, row in result["rules"].items()
    ]
    head = [
        "rule",
        "cat as cat",
        "cat missed",
        "other as cat",
        "other as other",
        "recall",
        "FPR",
        "wild as cat",
    ]
    parts.append(_rows(head, rows))
    parts += _charts(one, ours, positive)
    wrong = {"Cats with the lowest scores": (positive, 1), "Others with the highest scores": (~positive, -1)}
    for title, (among, sign) in wrong.items():
        members = np.flatnonzero(among)
        worst = members[np.argsort(sign * ours.scores[members], kind="stable")][:WORST]
        figures = "".join(_figure(photos[one.names[i]], float(ours.scores[i])) for i in worst)
        parts.append(f"<h3>{title}</h3>{figures}")
    return parts


def _charts(one: Compared, ours: Rule, positive: Flags) -> list[str]:
    roc_lines, pr_lines = [], []
    marks: list[tuple[float, float, str]] = []
    pr_marks: list[tuple[float, float, str]] = []
    for point in one.profile.cat if one.profile else ():
        called = ours.scores >= point.threshold
        found, wrong = float(called[positive].mean()), float(called[~positive].mean())
        text = f"target {point.target:.1%}: recall {found:.2%}, false positives {wrong:.2%}"
        marks.append((wrong, found, text))
        pr_marks.append((found, float(positive[called].mean()) if called.any() else 1.0, text))
    for rule in (ours, one.rules[1]):
        false, true, _ = roc_curve(positive, rule.scores, drop_intermediate=False)
        name = "ours" if rule is ours else "best single label"
        mine = rule is ours
        roc_lines.append(Line(name, np.c_[false, true], marks if mine else (), dashed=not mine))
        precision, recall, _ = precision_recall_curve(positive, rule.scores)
        pr_lines.append(Line(name, np.c_[recall, precision], pr_marks if mine else (), not mine))
    for number, rule in enumerate(one.rules[1:]):
        row = one.result["rules"][rule.name]
        spot = (row["false_positive_rate"]["rate"], row["recall"]["rate"], rule.name)
        roc_lines.append(Line(rule.name, (), [spot], dashed=bool(number)))
    bins = [(row["score"], row["share"]) for row in one.result["reliability"]]
    return [
        chart("ROC", roc_lines, x="false positive rate", y="recall", x_range=(0, 0.1), y_range=(0.8, 1)),
        chart(
            "Precision and recall", pr_lines, x="recall", y="precision", x_range=(0.8, 1), y_range=(0.8, 1)
        ),
        chart(
            f"Reliability, ECE {one.result['ece']:.3f}",
            [
                Line("measured", bins, [(*spot, f"{spot[0]:.2f} -> {spot[1]:.2f}") for spot in bins]),
                Line("perfect", [(0, 0), (1, 1)], dashed=True),
            ],
            x="score",
            y="share of cats",
        ),
    ]


def _figure(photo: LabelledPhoto, score: float) -> str:
    with Image.open(io.BytesIO(photo.read().thumbnail)) as image:
        small = image.convert("RGB").resize((CONTACT_PX, CONTACT_PX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" width="{CONTACT_PX}" height="{CONTACT_PX}" alt="">'
        f"<figcaption>{escape(photo.name)}<br>{score:.4f}</figcaption></figure>"
    )
