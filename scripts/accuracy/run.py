"""A run of the accuracy benchmark: score the photos with each model, apply the rules, count the errors."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from catloader.bulk.plan import Plan
from catloader.cli.models.labelled_photos import open_photos
from catloader.settings import Settings
from checker.decision.profile import Profile
from checker.decision.subject import Subject, load_subject
from checker.evaluation.intervals import rate, recall
from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE
from checker.evaluation.progress import note
from checker.evaluation.provenance import provenance
from checker.evaluation.statistics import (
    Flags,
    auc,
    expected_calibration_error,
    mcnemar,
    recall_at_fpr,
    reliability,
)
from checker.evaluation.variants import NamedVariant
from checker.isolation.limits import die_with
from checker.values import Verdict
from scripts.accuracy.breakdown import by_kind, by_slice, by_variation
from scripts.accuracy.rules import CATLOADER, Rule, Verdicts, rules
from scripts.accuracy.scores.from_run import run_scores
from scripts.accuracy.scores.scores import PhotoScore, Scores
from scripts.accuracy.scores.scoring import Scorer
from scripts.accuracy.variations.corruptions import corruptions
from scripts.accuracy.variations.drawings import drawings
from scripts.accuracy.variations.edits import edits
from scripts.accuracy.variations.positions import positions
from scripts.accuracy.variations.variations import sample, varied
from scripts.command_line import CannotRun

TARGETS = (0.003, 0.005, 0.01, 0.02, 0.05)
VERDICTS = (Verdict.CAT, Verdict.UNSURE, Verdict.NOT_CAT)


@dataclass(frozen=True, slots=True)
class Request:
    """The models to compare, and the photos to compare them on."""

    data: str
    cat_classes: Sequence[str]
    """Names of folders or categories that show house cats, as in ``labelled_photos``."""
    variants: dict[str, NamedVariant]
    """Keyed by the names that the report shows."""
    runs: dict[str, Plan]
    """Bulk runs to read scores from, instead of ``data`` and ``variants``."""
    weights_dir: Path
    subject: str
    max_fpr: float
    max_fnr: float
    profile_folders: Sequence[Path]
    cache_folder: Path
    resume: bool
    """Use cached scores."""
    corrupted: int = 0
    """Number of photos of each label that are corrupted, and turned into drawings."""
    moved: int = 0
    """Number of photos of each label that are placed at other positions."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The arrays of one model, for the report."""

    name: str
    scores: Scores
    rules: list[Rule]
    result: dict[str, Any]

    @property
    def positive(self) -> Flags:
        """Photos without wild felines, in the order of the rules' scores."""
        return self.scores.positive

    @property
    def profile(self) -> Profile | None:
        return self.scores.profile


_Varied = dict[tuple[str, str], Scores]
"""(Family, strength) -> scores."""


def run(request: Request) -> tuple[dict[str, Any], list[Compared]]:
    """Return the figures for the JSON file, and the arrays for the report."""
    compared = []
    for name, variant in request.variants.items():
        # A separate process for each variant, so that peak memory is measured for it alone.
        with _child() as child:
            try:
                scores, corrupted, moved = child.submit(_score, variant, request).result()
            except BrokenProcessPool:
                raise CannotRun(f"{name}: its process was killed, perhaps for lack of memory") from None
        compared.append(_compare(name, scores, corrupted, moved, request))
    for name, plan in request.runs.items():
        subject = load_subject(request.subject)
        scores = run_scores(plan, request.weights_dir, subject, request.profile_folders)
        if compared and scores.data != compared[0].scores.data:
            raise CannotRun(f"{compared[0].name} and {name} are runs of different photos")
        compared.append(_compare(name, scores, {}, {}, request))
    pairs = []
    for first, second in combinations(compared, 2):
        correct = [(one.rules[0].verdicts == Verdict.CAT) == one.positive for one in (first, second)]
        pairs.append({"first": first.name, "second": second.name, "rule": CATLOADER, **mcnemar(*correct)})
    result = {
        **provenance(),
        "subject": load_subject(request.subject).name,
        "data": compared[0].scores.data,
        "models": {one.name: one.result for one in compared},
        "mcnemar": pairs,
    }
    return result, compared


def _child() -> ProcessPoolExecutor:
    """Return a pool with one process, which ends with this process (``die_with``)."""
    spawn = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(1, spawn, initializer=die_with, initargs=(os.getpid(),))
    except OSError as error:
        raise CannotRun(
            f"no process can be started, because it needs locks in /dev/shm: {error.strerror}"
        ) from error


def _score(variant: NamedVariant, request: Request) -> tuple[Scores, _Varied, _Varied]:
    with open_photos(request.data, Settings.from_environment(), request.cat_classes) as photos:
        scorer = Scorer(
            variant.load(),
            load_subject(request.subject),
            request.profile_folders,
            request.cache_folder,
            request.resume,
        )
        scores = scorer.score(photos)
        changed: list[_Varied] = []
        for number, variations in (
            (request.corrupted, [*corruptions(), *drawings(), *edits()]),
            (request.moved, positions()),
        ):
            sampled = sample(photos, number) if number else []
            scored: _Varied = {}
            for variation in variations if number else []:
                note(variation.name)
                scored[variation.family, variation.strength] = scorer.score(varied(sampled, variation))
            changed.append(scored)
        scorer.classifier.close()
    corrupted, moved = changed
    return scores, corrupted, moved


def _compare(name: str, scores: Scores, corrupted: _Varied, moved: _Varied, request: Request) -> Compared:
    subject = load_subject(request.subject)
    applied = rules(scores, subject, request.max_fpr, request.max_fnr)
    positive = scores.positive
    info, catloader = scores.model_info, applied[0]
    as_served = f"as with CATCHECK_RUNTIME={info.runtime} and CATCHECK_PRECISION={info.precision}"
    held_out = "cross-validated: the profile was fitted on these photos"
    result: dict[str, Any] = {
        "model_info": {**asdict(info), "versions": dict(info.versions)},
        "profile_id": scores.profile.profile_id if scores.profile else "uncalibrated",
        "scores": as_served if scores.held_out is None else held_out,
        "served_sha256": served_sha256(scores.rows),
        "thresholds": asdict(catloader.thresholds) if catloader.thresholds else None,
        "auc": auc(catloader.scores, positive),
        "ece": expected_calibration_error(catloader.scores, positive),
        "reliability": reliability(catloader.scores, positive),
        "recall_at_fpr": {
            f"{target:g}": asdict(recall_at_fpr(catloader.scores, positive, target)) for target in TARGETS
        },
        "rules": {rule.name: count(rule, positive) for rule in applied},
        "kinds": by_kind(scores, catloader),
        "slices": by_slice(scores, catloader),
        "photos_per_s": round(scores.photos_per_s, 1) if scores.photos_per_s else None,
        "peak_bytes": scores.peak_bytes or None,
    }
    for key, changed in (("corruptions", corrupted), ("positions", moved)):
        if changed:
            result[key] = by_variation(_ruled(changed, subject, request))
    return Compared(name, scores, applied, result)


def served_sha256(rows: Sequence[PhotoScore]) -> str:
    """Return a digest of each photo's score and flags, which determine the verdicts of a site at every rate.

    If two processors have the same digest, they give every photo the same score, to six decimals.
    Cross-validated scores are left out: their heads are fitted again in each run, and numerical libraries
    round differently on each kind of processor.
    """
    served = [(round(row.score, 6), row.vetoed, row.soft, row.wild) for row in rows]
    return hashlib.sha256(json.dumps(served).encode()).hexdigest()


def _ruled(
    changed: _Varied, subject: Subject, request: Request
) -> dict[tuple[str, str], tuple[Scores, Rule]]:
    return {
        key: (scores, rules(scores, subject, request.max_fpr, request.max_fnr)[0])
        for key, scores in changed.items()
    }


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
