"""A run of the accuracy benchmark: measure each model, apply the rules, count."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from catloader.cli.labelled_photos import open_photos
from catloader.settings import Settings
from checker.decision.profile import Profile, ProfileKey, find_profile
from checker.decision.subject import Subject, load_subject
from checker.evaluation.measure import Measured, measure
from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE
from checker.evaluation.provenance import provenance
from checker.evaluation.statistics import (
    Flags,
    auc,
    expected_calibration_error,
    mcnemar,
    rate,
    recall,
    recall_at_fpr,
    reliability,
)
from checker.evaluation.variants import NamedVariant
from checker.values import ModelInfo, Verdict
from models.catalogue import entry_named
from scripts.accuracy.rules import CATLOADER, Rule, Verdicts, rules
from scripts.command_line import CannotRun

TARGETS = (0.003, 0.005, 0.01, 0.02, 0.05)
VERDICTS = (Verdict.CAT, Verdict.UNSURE, Verdict.NOT_CAT)


@dataclass(frozen=True, slots=True)
class Request:
    """The models to compare, and the photos to compare them on."""

    data: str
    cat_classes: Sequence[str]
    """As ``labelled_photos`` takes them."""
    variants: dict[str, NamedVariant]
    """By the names that the report shows."""
    subject: str
    max_fpr: float
    max_fnr: float
    profile_folders: Sequence[Path]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One model's arrays, for the report."""

    name: str
    measured: Measured
    rules: list[Rule]
    profile: Profile | None
    result: dict[str, Any]

    @property
    def positive(self) -> Flags:
        """Without the wild felines, in the order of the rules' scores."""
        return np.asarray(self.measured.positive[~self.measured.wild])


def run(request: Request) -> tuple[dict[str, Any], list[Compared]]:
    """Return the figures for the JSON file, and the arrays for the report."""
    subject = load_subject(request.subject)
    compared = []
    for name, variant in request.variants.items():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            try:
                measured, model_info = child.submit(
                    _measure, variant, request.data, request.cat_classes
                ).result()
            except BrokenProcessPool:
                raise CannotRun(f"{name}: its process was killed, perhaps for lack of memory") from None
        compared.append(_compare(name, measured, model_info, subject, request))
    pairs = []
    for first, second in combinations(compared, 2):
        right = [(one.rules[0].verdicts == Verdict.CAT) == one.positive for one in (first, second)]
        pairs.append({"first": first.name, "second": second.name, "rule": CATLOADER, **mcnemar(*right)})
    result = {
        **provenance(),
        "subject": subject.name,
        "data": compared[0].measured.data,
        "models": {one.name: one.result for one in compared},
        "mcnemar": pairs,
    }
    return result, compared


def _measure(variant: NamedVariant, data: str, cat_classes: Sequence[str]) -> tuple[Measured, ModelInfo]:
    """Measure one model, in a process of its own so that its peak memory is its own."""
    with open_photos(data, Settings.from_environment(), cat_classes) as photos:
        classifier = variant.load()
        return measure(photos, classifier), classifier.model_info


def _compare(
    name: str, measured: Measured, model_info: ModelInfo, subject: Subject, request: Request
) -> Compared:
    key = ProfileKey.of(model_info, entry_named(model_info.model).preprocessing, subject)
    profile = find_profile(key, request.profile_folders)
    applied, held_out = rules(measured, subject, profile, request.max_fpr, request.max_fnr)
    positive = measured.positive[~measured.wild]
    catloader = applied[0]
    as_served = f"as with CATCHECK_RUNTIME={model_info.runtime} and CATCHECK_PRECISION={model_info.precision}"
    result: dict[str, Any] = {
        "model_info": {**asdict(model_info), "versions": dict(model_info.versions)},
        "profile_id": profile.profile_id if profile else "uncalibrated",
        "scores": "cross-validated: the profile was fitted on these photos" if held_out else as_served,
        "thresholds": asdict(catloader.thresholds) if catloader.thresholds else None,
        "auc": auc(catloader.scores, positive),
        "ece": expected_calibration_error(catloader.scores, positive),
        "reliability": reliability(catloader.scores, positive),
        "recall_at_fpr": {
            f"{target:g}": asdict(recall_at_fpr(catloader.scores, positive, target)) for target in TARGETS
        },
        "rules": {rule.name: count(rule, positive) for rule in applied},
        "photos_per_s": round(measured.photos_per_s, 1),
        "peak_bytes": measured.peak_bytes,
    }
    return Compared(name, measured, applied, profile, result)


def count(rule: Rule, positive: Flags) -> dict[str, Any]:
    """Return the confusion table and the rates of one rule."""
    cats, others = _counts(rule.verdicts[positive]), _counts(rule.verdicts[~positive])
    n_cats, n_others = int(positive.sum()), int((~positive).sum())
    return {
        "confusion": {CAT: cats, NOT_CAT: others, WILD_FELINE: _counts(rule.wild_verdicts)},
        "recall": asdict(recall(n_cats - cats[Verdict.CAT], n_cats)),
        "false_positive_rate": asdict(rate(others[Verdict.CAT], n_others)),
    }


def _counts(verdicts: Verdicts) -> dict[str, int]:
    return {verdict.value: int((verdicts == verdict).sum()) for verdict in VERDICTS}
