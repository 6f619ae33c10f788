"""The results of the accuracy benchmark as sentences and as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE
from checker.evaluation.provenance import machine_kind
from checker.values import Verdict
from scripts.accuracy.rules import CATLOADER


def summary(model: Mapping[str, Any]) -> str:
    """Sum up CatLoader's result on one model in a sentence."""
    confusion = model["rules"][CATLOADER]["confusion"]
    cats, others = confusion[CAT], confusion[NOT_CAT]
    unsure = cats[Verdict.UNSURE] + others[Verdict.UNSURE]
    return (
        f"{cats[Verdict.CAT]} of {sum(cats.values())} cats found, {others[Verdict.CAT]} of "
        f"{sum(others.values())} others called cat, {unsure} left unsure."
    )


def interval(share: Mapping[str, Any]) -> str:
    """Return a 95 % interval."""
    return f"{100 * share['low']:.2f} - {100 * share['high']:.2f} %"


def table(result: Mapping[str, Any]) -> str:
    """Return one table for each model, and McNemar's test for each pair of models."""
    lines = [machine_kind(result["machine"])]
    for name, model in result["models"].items():
        lines += ["", f"{name}: {summary(model)}", _HEADING]
        lines += [_row(rule, row) for rule, row in model["rules"].items()]
        targets = "  ".join(f"{float(t):.1%}: {row['rate']:.2%}" for t, row in model["recall_at_fpr"].items())
        lines += [
            f"  recall at a false positive rate of  {targets}",
            f"  AUC {model['auc']:.5f}  ECE {model['ece']:.4f}  {model['photos_per_s']} photos/s  "
            f"peak {model['peak_bytes'] / 2**20:.0f} MiB  {model['profile_id']}, {model['scores']}",
        ]
    lines += [
        f"McNemar, {pair['first']} against {pair['second']}: only the first is right {pair['only_first']} "
        f"times, only the second {pair['only_second']}; p = {pair['p']:.3f}"
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
    found, other_as_cat, wild_as_cat = (
        f"{counts[Verdict.CAT]} of {sum(counts.values())}" for counts in (cats, others, wild)
    )
    return (
        f"  {rule:57}{found:>12}{interval(row['recall']):>18}{other_as_cat:>15}"
        f"{interval(row['false_positive_rate']):>18}{unsure:8d}{wild_as_cat:>13}"
    )
