"""The results of the accuracy benchmark, as sentences and as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE
from checker.evaluation.provenance import machine_kind
from checker.values import Verdict
from scripts.accuracy.report.advice import advice
from scripts.accuracy.rules import CATLOADER

BREAKDOWNS = {"slices": "By slice", "corruptions": "Corrupted", "positions": "In other positions"}
"""Key of a model's result -> title; each result is group -> row -> rates."""


def summary(model: Mapping[str, Any]) -> str:
    """Summarise CatLoader's result on one model in one sentence."""
    confusion = model["rules"][CATLOADER]["confusion"]
    cats, others = confusion[CAT], confusion[NOT_CAT]
    unsure = cats[Verdict.UNSURE] + others[Verdict.UNSURE]
    return (
        f"{cats[Verdict.CAT]} of {sum(cats.values())} cats found, {others[Verdict.CAT]} of "
        f"{sum(others.values())} others called cat, {unsure} left unsure."
    )


def interval(share: Mapping[str, Any]) -> str:
    """Return the 95 % interval of a share as text, in per cent."""
    return f"{100 * share['low']:.2f} - {100 * share['high']:.2f} %"


def counted(share: Mapping[str, Any] | None) -> str:
    """Return ``98 of 100 (93.00 - 99.45 %)`` for a recall or a rate; empty if there are no such photos."""
    if share is None:
        return ""
    hits = round(share["rate"] * share["n"])
    return f"{hits} of {share['n']} ({interval(share)})"


def speed(model: Mapping[str, Any]) -> str:
    """Return photos per second and peak memory, or the reason why they are unknown."""
    if model["photos_per_s"] is None:
        return "scores of an earlier run"
    return f"{model['photos_per_s']} photos/s  peak {model['peak_bytes'] / 2**20:.0f} MiB"


def table(result: Mapping[str, Any]) -> str:
    """Return the tables of each model, and McNemar's test for each pair of models."""
    lines = [machine_kind(result["machine"])]
    for name, model in result["models"].items():
        lines += ["", f"{name}: {summary(model)}", _HEADING]
        lines += [_row(rule, row) for rule, row in model["rules"].items()]
        targets = "  ".join(f"{float(t):.1%}: {row['rate']:.2%}" for t, row in model["recall_at_fpr"].items())
        lines += [
            f"  recall at a false positive rate of  {targets}",
            f"  AUC {model['auc']:.5f}  ECE {model['ece']:.4f}  {speed(model)}  "
            f"{model['profile_id']}, {model['scores']}",
            _rates_heading("kind"),
            *(_rates_row(kind, row) for kind, row in model["kinds"].items()),
            f"  {advice(model['kinds'])}",
        ]
        for key, title in BREAKDOWNS.items():
            for group, rows in model.get(key, {}).items():
                lines += [_rates_heading(f"{title}: {group}")]
                lines += [_rates_row(title, row) for title, row in rows.items()]
    lines += [
        f"McNemar, {pair['first']} against {pair['second']}: photos that only the first judges right: "
        f"{pair['only_first']}, only the second: {pair['only_second']}; p = {pair['p']:.3f}"
        for pair in result["mcnemar"]
    ]
    return "\n".join(lines)


_HEADING = (
    f"  {'rule':57}{'cats found':>12}{'95 % interval':>18}{'others as cat':>15}{'95 % interval':>18}"
    f"{'unsure':>8}{'wild as cat':>13}"
)


def _row(rule: str, row: Mapping[str, Any]) -> str:
    cats, others, wild = (row["confusion"][label] for label in (CAT, NOT_CAT, WILD_FELINE))
    unsure = cats[Verdict.UNSURE] + others[Verdict.UNSURE]
    cats_as_cat, other_as_cat, wild_as_cat = (
        f"{counts[Verdict.CAT]} of {sum(counts.values())}" for counts in (cats, others, wild)
    )
    return (
        f"  {rule:57}{cats_as_cat:>12}{interval(row['recall']):>18}{other_as_cat:>15}"
        f"{interval(row['false_positive_rate']):>18}{unsure:8d}{wild_as_cat:>13}"
    )


def _rates_heading(title: str) -> str:
    return f"  {title:40}{'cats found':>32}{'cats as not_cat':>32}{'others as cat':>32}{'unsure':>8}"


def _rates_row(title: str, row: Mapping[str, Any]) -> str:
    shares = (counted(row.get(key)) for key in ("recall", "false_negative_rate", "false_positive_rate"))
    return f"  {title:40}" + "".join(f"{share:>32}" for share in shares) + f"{row['unsure']:8d}"
