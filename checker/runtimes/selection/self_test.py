"""The self-test at load: a golden photo must get the labels and the score that its profile states.

``checker/evaluation/golden.py`` writes the photo and the expected values next to the profile. The photo takes
the same path as any other photo, so a fault anywhere on that path makes the self-test fail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from checker.decision.operating_point import ThresholdRule
from checker.decision.profile import Profile, ProfileKey, load_profile
from checker.errors import ModelRefused
from checker.pipeline import check_batch
from checker.ports import Classifier
from checker.testing import InMemoryImageSource
from checker.values import Claim, Decision, ModelInfo, Rendition

LABEL_TOLERANCE = {"fp32": 0.003, "fp16": 0.01, "bf16": 0.03, "int8": 0.05}
"""Tolerance of a confidence, unless the profile has a ``label_tolerance``. In fp32, a different processor
changes a confidence by 1e-5, a different resize filter by 0.02, a mean of 120 instead of 127 by 0.007; bf16
instead of fp32 changes it by 0.014."""

_BEST = 5
"""Number of best labels of a rendition. An unlikely class of the subject may follow them."""
_CLAIM = Claim(photo_id=0, token="", photo_key="", thumbnail_key="", attempt=1)


class SelfTestFailed(ModelRefused):
    """The golden photo's results differ from those that were measured."""


def self_test(classifier: Classifier, rule: ThresholdRule, profile_folders: Iterable[Path] = ()) -> None:
    """Check the golden photo of the rule's profile; do nothing if the profile has no golden photo.

    Args:
        profile_folders: searched, if there is no profile, for profiles of the same weights with other
            preprocessing.
    Raises:
        SelfTestFailed: the message names the likely difference, as far as one photo shows it.
    """
    profile = rule.profile
    if profile is None:
        _refuse_other_preprocessing(classifier, rule, profile_folders)
    elif profile.golden:
        try:
            _compare(classifier, rule, profile)
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _failure(profile, f"{type(error).__name__}: {error}") from error


def names_digest(class_names: Sequence[str]) -> str:
    """Hash all 1000 class names in order, because the labels of a photo compare only a few of them."""
    return hashlib.sha256(json.dumps(list(class_names)).encode()).hexdigest()


def _compare(classifier: Classifier, rule: ThresholdRule, profile: Profile) -> None:
    golden = profile.golden
    data = (profile.folder / golden["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != golden["sha256"]:
        raise _failure(profile, f"{golden['file']} is not the photo that was measured")
    if golden.get("classes_sha256") not in (None, names_digest(rule.class_names)):
        raise _failure(profile, "the class names, or their order, differ from calibration")
    source = InMemoryImageSource()
    source.put(_CLAIM, dict.fromkeys(Rendition, data))
    outcome = check_batch([_CLAIM], source, classifier, rule)[0]
    if outcome.decision is None:
        raise _failure(profile, f"the golden photo got no verdict: {outcome.error}")
    tolerance = float(golden.get("label_tolerance", _label_tolerance(classifier.model_info)))
    if (difference := _difference(outcome.decision, golden, tolerance)) is not None:
        raise _failure(profile, difference)


def _label_tolerance(model_info: ModelInfo) -> float:
    tolerance = LABEL_TOLERANCE[model_info.precision]
    # A GPU multiplies fp32 as TF32, which has no more digits than fp16.
    return tolerance if model_info.device == "cpu" else max(tolerance, LABEL_TOLERANCE["fp16"])


def _difference(decision: Decision, golden: Mapping[str, Any], tolerance: float) -> str | None:
    for rendition in Rendition:
        expected = golden["labels"][rendition]
        actual = {label.name: label.confidence for label in decision.labels[rendition]}
        name = max({**expected, **actual}, key=lambda name: _distance(name, expected, actual))
        if _distance(name, expected, actual) > tolerance:
            pairs = zip(_best(expected), _best(actual), strict=False)
            if all(abs(measured - confidence) <= tolerance for measured, confidence in pairs):
                return f"the {rendition} has the measured confidences on other classes: their order is wrong"
            confidence, measured = (labels.get(name, 0.0) for labels in (actual, expected))
            return (
                f"{name} got {confidence:.3f} in the {rendition} where {measured:.3f} was measured "
                f"(tolerance {tolerance:g}): preprocessing, decoder, class order or weights differ "
                "from calibration"
            )
    if not abs(decision.score - golden["score"]) <= golden["score_tolerance"]:
        return (
            f"the golden photo's score is {decision.score:.3f} where {golden['score']:.3f} was measured "
            f"(tolerance {golden['score_tolerance']:g})"
        )
    return None


def _distance(name: str, expected: Mapping[str, float], actual: Mapping[str, float]) -> float:
    """Compare a class in two lists of the best five: a missing class is at most as likely as the fifth."""
    if name in expected and name in actual:
        return abs(expected[name] - actual[name])
    with_name, without_name = (expected, actual) if name in expected else (actual, expected)
    return max(0.0, with_name[name] - min(_best(without_name)))


def _best(labels: Mapping[str, float]) -> list[float]:
    return sorted(labels.values(), reverse=True)[:_BEST]


def _refuse_other_preprocessing(classifier: Classifier, rule: ThresholdRule, folders: Iterable[Path]) -> None:
    """Refuse a model that was measured with other preprocessing: it must not run as an unmeasured one."""
    if classifier.preprocessing.decoder != "cpu":
        return  # other pixels were requested on purpose; the verdicts are marked as uncalibrated
    key = ProfileKey.of(classifier.model_info, classifier.preprocessing, rule.subject)
    for path in (path for folder in folders for path in sorted(folder.glob("*.json"))):
        profile = load_profile(path)
        if replace(profile.key, preprocessing=key.preprocessing) == key:
            raise _failure(
                profile,
                f"the catalogue prepares photos as {key.preprocessing}, where {profile.key.preprocessing} "
                f"was measured; calibrate again, or delete {path}",
            )


def _failure(profile: Profile, reason: str) -> SelfTestFailed:
    return SelfTestFailed(f"The self-test of profile {profile.profile_id} failed: {reason}.")
