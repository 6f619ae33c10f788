"""Rates of CatLoader's rule by kind of photo, by slice and by variation, with counts and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from checker.evaluation.intervals import rate, recall
from checker.evaluation.photos import CAT
from checker.evaluation.statistics import Flags
from checker.values import Verdict
from scripts.accuracy.rules import Rule, Verdicts
from scripts.accuracy.scores.facts import SLICES, slice_of
from scripts.accuracy.scores.scores import Scores


def verdicts_of_all(scores: Scores, rule: Rule) -> Verdicts:
    """Return the verdicts of all photos in their order, wild felines included."""
    verdicts = np.empty(len(scores.names), dtype="<U10")
    verdicts[~scores.wild] = rule.verdicts
    verdicts[scores.wild] = rule.wild_verdicts
    return verdicts


def rates(verdicts: Verdicts, positive: Flags) -> dict[str, Any]:
    """Return the rates of one group of photos; rates that these photos can't measure are left out."""
    row: dict[str, Any] = {"unsure": int((verdicts == Verdict.UNSURE).sum())}
    n_cats, n_others = int(positive.sum()), int((~positive).sum())
    if n_cats:
        missed = int((verdicts[positive] != Verdict.CAT).sum())
        called_not_cat = int((verdicts[positive] == Verdict.NOT_CAT).sum())
        row["recall"] = asdict(recall(missed, n_cats))
        row["false_negative_rate"] = asdict(rate(called_not_cat, n_cats))
    if n_others:
        row["false_positive_rate"] = asdict(rate(int((verdicts[~positive] == Verdict.CAT).sum()), n_others))
    return row


def by_kind(scores: Scores, rule: Rule) -> dict[str, Any]:
    """Return the rates of each kind: cats first, then the other kinds in descending order of their number."""
    verdicts = verdicts_of_all(scores, rule)
    return {
        kind: rates(verdicts[members], np.full(int(members.sum()), label == CAT))
        for kind, (label, members) in members_by_kind(scores).items()
    }


def members_by_kind(scores: Scores) -> dict[str, tuple[str, Flags]]:
    """Return kind -> its label and its photos, in the order of ``by_kind``.

    A kind of other photos that has the same name as one of cats gets its label appended.
    """
    groups = {(str(label), str(kind)) for label, kind in zip(scores.labels, scores.kinds, strict=True)}
    members = {(label, kind): (scores.labels == label) & (scores.kinds == kind) for label, kind in groups}
    kinds: dict[str, tuple[str, Flags]] = {}
    for label, kind in sorted(groups, key=lambda one: (one[0] != CAT, -int(members[one].sum()), one)):
        kinds[kind if kind not in kinds else f"{kind} ({label})"] = (label, members[label, kind])
    return kinds


def by_slice(scores: Scores, rule: Rule) -> dict[str, dict[str, Any]]:
    """Return slice -> range -> rates, without wild felines and without empty ranges."""
    known = np.flatnonzero(~scores.wild)
    tables: dict[str, dict[str, Any]] = {}
    for name, (_, ends) in SLICES.items():
        ranges = np.array([slice_of(name, scores.rows[int(i)].facts) for i in known])
        tables[name] = {
            title: rates(rule.verdicts[members], scores.positive[members])
            for title in ends
            if (members := ranges == title).any()
        }
    return tables


def by_variation(rules: Mapping[tuple[str, str], tuple[Scores, Rule]]) -> dict[str, dict[str, Any]]:
    """Return family -> strength -> rates."""
    tables: dict[str, dict[str, Any]] = {}
    for (family, strength), (scores, rule) in rules.items():
        tables.setdefault(family, {})[strength] = rates(rule.verdicts, scores.positive)
    return tables
