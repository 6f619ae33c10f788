"""Measure the operating points of one network + runtime + precision + subject; write them as a profile.

    python scripts/calibrate.py DATA [--fit-head] [--model efficientnet_lite0] [--subject house_cat] ...

DATA: a folder with cat/ and not_cat/ (perhaps wild_feline/), a labels.csv or a folder with one, or
``database`` for the photos that people reviewed on your site (its settings are read from the environment).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from catloader.settings import Settings
from checker.decision.head import Head, sigmoid
from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule, choose
from checker.decision.profile import OperatingPoint, Profile, ProfileKey
from checker.decision.subject import Subject, load_subject
from checker.errors import ModelRefused
from checker.evaluation.fit import FEATURE_PENALTY, Flags, Inputs, cross_fitted, fit, platt, scaled
from checker.evaluation.golden import golden_test
from checker.evaluation.provenance import provenance
from checker.evaluation.statistics import auc, expected_calibration_error
from checker.evaluation.thresholds import FOLDS, chosen_thresholds, judge
from checker.ports import Classifier
from checker.runtimes.load import load_classifier
from models.catalogue import class_names, resolve
from scripts._forms import PRECISIONS, must_exist
from scripts._measure import Measured, measure
from scripts._photos import CAT, NOT_CAT, LabelledPhoto, NoData, labelled_photos
from scripts.command_line import report_errors

SEED = 20
FEWEST = 50
"""Photos of either label below which no rate worth the name can be measured."""


def calibrate(
    measured: Measured,
    classifier: Classifier,
    subject: Subject,
    *,
    fit_head: bool,
    penalty: float = FEATURE_PENALTY,
    seed: int = SEED,
) -> Profile:
    """The profile, without a golden test, from ``enough`` photos."""
    known = ~measured.wild
    positive: Flags = measured.positive[known]
    inputs = Inputs.of(subject, measured.evidence[known])
    judged = judge(inputs, positive, features=fit_head, penalty=penalty, seed=seed)
    held_out = cross_fitted(inputs, positive, features=fit_head, penalty=penalty, folds=FOLDS, seed=seed)
    slope, shift = platt(held_out, positive)
    head = scaled(fit(inputs, positive, features=fit_head, penalty=penalty), slope, shift)
    cat, not_cat = (
        {target: float(sigmoid(np.array(logit))) for target, logit in chosen.items()}
        for chosen in chosen_thresholds(slope * held_out + shift, positive)
    )
    scores = sigmoid(judged.held_out)
    return Profile(
        key=ProfileKey.of(classifier.model_info, classifier.preprocessing, subject),
        model=classifier.model_info.model,
        head=head,
        cat=_with_thresholds(judged.cat, cat),
        not_cat=_with_thresholds(judged.not_cat, not_cat),
        made={
            **provenance(),
            "data": measured.data,
            "versions": dict(classifier.model_info.versions),
            "device": classifier.model_info.device,
            "fit": {
                "head": "linear probe" if fit_head else "softmax mass",
                "penalty": penalty if fit_head else None,
                "seed": seed,
            },
            "judged": {
                "how": f"nested {FOLDS}-fold cross-validation: each photo is judged once, by a head, a scale "
                "and thresholds made without it",
                "auc": round(auc(scores, positive), 5),
                "ece": round(expected_calibration_error(scores, positive), 4),
            },
            "wild_felines": _wild(measured, subject, head, cat),
        },
    )


def _with_thresholds(
    points: tuple[OperatingPoint, ...], thresholds: dict[float, float]
) -> tuple[OperatingPoint, ...]:
    return tuple(
        OperatingPoint(point.target, thresholds[point.target], point.realised, point.recall)
        for point in points
    )


def _wild(measured: Measured, subject: Subject, head: Head, cat: dict[float, float]) -> dict[str, Any]:
    if not measured.wild.any():
        return {"n": 0}
    scores = head.scores(subject, measured.evidence[measured.wild])
    reached = {f"{target:g}": int((scores >= threshold).sum()) for target, threshold in cat.items()}
    return {"n": int(measured.wild.sum()), "at_or_above_cat_threshold": reached}


def table(profile: Profile) -> str:
    lines = [
        profile.profile_id,
        "target        threshold  realised  95 % interval        n   recall   95 % interval",
    ]
    for side, points in (("FPR", profile.cat), ("FNR", profile.not_cat)):
        for point in points:
            got, found = (
                f"{share.rate:7.2%}  {share.low:6.2%} - {share.high:7.2%}"
                for share in (point.realised, point.recall)
            )
            n = point.realised.n
            full = profile.fp32_recall.get(point.target) if side == "FPR" else None
            fp32 = "" if full is None else f"  (fp32: {full:7.2%})"
            lines.append(
                f"{side} <= {point.target:6.2%}  {point.threshold:8.4f}  {got}  {n:6d}  {found}" + fp32
            )
    return "\n".join(lines)


def enough(photos: Sequence[LabelledPhoto]) -> Sequence[LabelledPhoto]:
    """The photos; to be asked before the minutes that measuring takes.

    Raises:
        NoData: too few of a label.
    """
    counts = Counter(photo.label for photo in photos)
    if min(counts[CAT], counts[NOT_CAT]) < FEWEST:
        raise NoData(
            f"at least {FEWEST} photos of either label are needed; "
            f"there are {counts[CAT]} of {CAT} and {counts[NOT_CAT]} of {NOT_CAT}"
        )
    return photos


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", help="folder, labels.csv, or 'database'")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--weights-dir", type=Path, default=Path("models/weights"))
    parser.add_argument("--subject", default="house_cat")
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--runtime", default="torch", choices=("torch", "openvino"))
    parser.add_argument("--precision", default="auto", choices=("auto", *PRECISIONS))
    parser.add_argument("--decoder", default="cpu", choices=("cpu", "nvjpeg"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--fit-head", action="store_true", help="fit a linear probe too; needs photos like yours"
    )
    parser.add_argument("--penalty", type=float, default=FEATURE_PENALTY, help="of the probe's weights")
    parser.add_argument(
        "--out", type=Path, help="folder of the profile; default: where the site looks for yours"
    )
    parser.add_argument("--shipped", action="store_true", help="write into models/profiles instead")
    return parser.parse_args(argv)


@report_errors
def main(argv: list[str] | None = None) -> int:
    asked = _arguments(argv)
    must_exist(asked.runtime, asked.precision)
    site = Settings.from_environment()
    photos = enough(labelled_photos(asked.data))
    entry, path = resolve(asked.model, asked.weights_dir)
    subject = load_subject(asked.subject, class_names())
    classifier = load_classifier(
        entry.decoded_by(asked.decoder),
        path,
        device=asked.device,
        runtime=asked.runtime,
        precision=asked.precision,
        threads=asked.threads,
        weights_dir=asked.weights_dir,
    )

    def profile_of(classifier: Classifier) -> Profile:
        measured = measure(photos, classifier)
        return calibrate(measured, classifier, subject, fit_head=asked.fit_head, penalty=asked.penalty)

    profile = profile_of(classifier)
    if classifier.model_info.precision == "int8":
        full = profile_of(load_classifier(entry, path, device="cpu", runtime="torch", precision="fp32"))
        profile = replace(profile, fp32_recall={p.target: round(p.recall.rate, 5) for p in full.cat})
    folder = SHIPPED_PROFILES if asked.shipped else asked.out or site.data_dir / "profiles"
    folder.mkdir(parents=True, exist_ok=True)
    lax = ThresholdRule(subject, class_names(), profile=profile, max_fpr=1, max_fnr=1)
    profile = golden_test(profile, classifier, folder, lax)
    model_info = classifier.model_info
    form = model_info.precision if asked.decoder == "cpu" else f"{model_info.precision}-{asked.decoder}"
    file = folder / f"{model_info.model}-{model_info.runtime}-{form}-{subject.name}.json"
    profile.save(file)
    print(table(profile))
    print(f"written to {file}")
    try:
        choose(profile, site.max_false_positive_rate, site.max_false_negative_rate)
    except ModelRefused as error:
        print(
            f"calibrate: {model_info.runtime} {model_info.precision} cannot use this profile: {error}. "
            "Another form of the network may, if its profile holds these rates; without one, photos wait.",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
