"""Calibration: from activations of labelled photos to a profile with measured operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from checker.decision.head import Doubles, sigmoid
from checker.decision.operating_point import ThresholdRule
from checker.decision.profile import OperatingPoint, Profile, ProfileKey
from checker.decision.subject import Subject
from checker.evaluation.examples import CalibrationSet, Examples
from checker.evaluation.fit import FEATURE_PENALTY, cross_fitted, fit, platt, scaled
from checker.evaluation.golden import golden_test
from checker.evaluation.measure import measure
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, UnusablePhotos
from checker.evaluation.provenance import provenance
from checker.evaluation.statistics import auc, expected_calibration_error
from checker.evaluation.thresholds import FOLDS, choose_thresholds, judge
from checker.evaluation.variants import NamedVariant
from checker.ports import Classifier
from checker.values import ModelInfo
from models.catalogue import Preprocessing, class_names

SEED = 20
SWAPPED_AUC = 0.25
"""AUC below which the labels are taken to be swapped. It is far below 0.5, the AUC of a model that has not
learnt the subject: a head on the features of such a model may still be good."""


def measure_and_calibrate(
    photos: Sequence[LabelledPhoto],
    variant: NamedVariant,
    subject: Subject,
    *,
    fit_head: bool,
    penalty: float | None = None,
) -> tuple[Profile, Classifier]:
    """Measure a variant on enough photos (``enough_of_both``); int8 is compared with fp32."""

    def profile_of(classifier: Classifier) -> Profile:
        measured = CalibrationSet.of(subject, measure(photos, classifier, augmented=True))
        info, preprocessing = classifier.model_info, classifier.preprocessing
        return calibrate(measured, info, preprocessing, subject, fit_head=fit_head, penalty=penalty)

    classifier = variant.load()
    profile = profile_of(classifier)
    if profile.key.precision == "int8":
        profile = compared(profile, profile_of(variant.in_fp32().load()))
    return profile, classifier


def _refuse_swapped_labels(examples: Examples, subject: Subject) -> None:
    """Compare the labels with the model's own log-odds, before a head is fitted.

    A head fitted to swapped labels reverses the log-odds, so that its rates look good.

    Raises:
        UnusablePhotos: the model finds the subject in the photos labelled ``not_cat``.
    """
    plain = examples.plain
    highest = examples.odds[plain].reshape(int(plain.sum()), -1).max(axis=1)
    if auc(highest, examples.positive[plain]) < SWAPPED_AUC:
        raise UnusablePhotos(
            f"the model finds {subject.name} in the photos labelled {NOT_CAT}, not in those labelled {CAT}: "
            "are the labels swapped?"
        )


def compared(int8: Profile, fp32: Profile) -> Profile:
    """Return the profile of an int8 variant with the recall of the same model in fp32."""
    return replace(int8, fp32_recall={point.target: round(point.recall.rate, 5) for point in fp32.cat})


def calibrate(
    measured: CalibrationSet,
    info: ModelInfo,
    preprocessing: Preprocessing,
    subject: Subject,
    *,
    fit_head: bool,
    penalty: float | None = None,
) -> Profile:
    """Fit the head, choose thresholds and judge them; the profile has no golden test yet.

    Args:
        measured: measurements of photos that pass ``enough_of_both``.
        info, preprocessing: of the classifier that measured them.
        fit_head: also fit weights for the model's features, not only for the softmax mass.
        penalty: L2 penalty on the weights of the features; None: ``FEATURE_PENALTY``.
    Raises:
        UnusablePhotos: the model finds the subject in the photos labelled ``not_cat``.
    """
    penalty = FEATURE_PENALTY if penalty is None else penalty
    examples = measured.examples
    _refuse_swapped_labels(examples, subject)
    held_out, fold = cross_fitted(examples, features=fit_head, penalty=penalty, folds=FOLDS, seed=SEED)
    plain, positive = examples.plain, examples.positive[examples.plain]
    slope, shift = platt(held_out[plain], positive)
    held_out = slope * held_out + shift
    head = scaled(fit(examples, features=fit_head, penalty=penalty), slope, shift)
    judged = judge(examples, held_out, fold)
    thresholds = choose_thresholds(examples, held_out, share=(FOLDS - 1) / FOLDS)
    scores = sigmoid(held_out[plain])
    return Profile(
        key=ProfileKey.of(info, preprocessing, subject),
        model=info.model,
        head=head,
        cat=_with_thresholds(judged.cat, thresholds.cat),
        not_cat=_with_thresholds(judged.not_cat, thresholds.not_cat),
        soft=_with_thresholds(judged.soft, thresholds.soft),
        made={
            **provenance(),
            "data": measured.data,
            "versions": dict(info.versions),
            "device": info.device,
            "fit": {
                "head": "linear probe" if fit_head else "softmax mass",
                "penalty": penalty if fit_head else None,
                "seed": SEED,
            },
            "judged": {
                "how": f"{FOLDS}-fold cross-validation: each photo is judged once, by a head fitted and "
                "thresholds chosen without it",
                "auc": round(auc(scores, positive), 5),
                "ece": round(expected_calibration_error(scores, positive), 4),
            },
            "wild_felines": _wild_felines(
                sigmoid(head.logits(measured.wild_odds, measured.wild_features)), _as_scores(thresholds.cat)
            ),
        },
    )


def write_profile(profile: Profile, classifier: Classifier, folder: Path) -> Path:
    """Complete the profile with its golden test, and write both to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    key = profile.key
    any_rates = ThresholdRule(key.subject, class_names(), profile=profile, max_fpr=1, max_fnr=1)
    profile = golden_test(profile, classifier, folder, any_rates)
    decoder = classifier.preprocessing.decoder
    precision = key.precision if decoder == "cpu" else f"{key.precision}-{decoder}"
    path = folder / f"{profile.model}-{key.runtime}-{precision}-{key.subject.name}.json"
    profile.save(path)
    return path


def table(profile: Profile) -> str:
    """Return the operating points as text, one per line, then the rates of each kind of other photo."""
    lines = [
        profile.profile_id,
        f"{'target':13} {'threshold':>9} {'realised':>8} {'95 % interval':>17} {'n':>6} {'recall':>8} "
        f"{'95 % interval':>17}",
    ]
    for side, points in (("FPR", profile.cat), ("FNR", profile.not_cat)):
        for point in points:
            realised, recall = (
                f"{share.rate:8.2%} {f'{share.low:.2%} - {share.high:.2%}':>17}"
                for share in (point.realised, point.recall)
            )
            fp32 = profile.fp32_recall.get(point.target) if side == "FPR" else None
            lines.append(
                f"{side} <= {point.target:6.2%} {point.threshold:9.4f} {realised} {point.realised.n:6d} "
                + recall
                + ("" if fp32 is None else f"  (fp32: {fp32:.2%})")
            )
    soft = {point.target: point for point in profile.soft}
    for point in profile.cat:
        kinds = {**point.kinds, **(soft[point.target].kinds if point.target in soft else {})}
        shares = (f"{kind} {share.rate:.2%} ({share.errors} of {share.n})" for kind, share in kinds.items())
        lines.append(f"called cat at FPR <= {point.target:.2%}: {', '.join(shares)}")
    return "\n".join(lines)


def _with_thresholds(
    points: tuple[OperatingPoint, ...], thresholds: dict[float, float]
) -> tuple[OperatingPoint, ...]:
    scores = _as_scores(thresholds)
    return tuple(replace(point, threshold=scores[point.target]) for point in points)


def _as_scores(logits: dict[float, float]) -> dict[float, float]:
    """Turn log-odds into scores."""
    return {target: float(sigmoid(np.array(logit))) for target, logit in logits.items()}


def _wild_felines(scores: Doubles, cat: dict[float, float]) -> dict[str, Any]:
    if not len(scores):
        return {"n": 0}
    reached = {f"{target:g}": int((scores >= threshold).sum()) for target, threshold in cat.items()}
    return {"n": len(scores), "at_or_above_cat_threshold": reached}
