"""The self-test at load: one photo that everybody has must get what it got when its profile was measured.

Photo and expectation lie with the profile (``checker/evaluation/golden.py`` puts them there). The photo takes
the way of every other one, so that whatever is wrong on that way refuses to serve.
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
"""Of a confidence, where the profile names no ``label_tolerance``. With fp32, another processor moves one by
1e-5, another resize filter by 0.02, a mean of 120 for 127 by 0.007; bf16 for fp32 does by 0.014."""

_CLAIM = Claim(photo_id=0, token="", photo_key="", thumbnail_key="", attempt=1)


def self_test(classifier: Classifier, rule: ThresholdRule, profile_folders: Iterable[Path] = ()) -> None:
    """Does nothing where no profile was measured for this network, or one without a golden photo.

    Args:
        profile_folders: searched for profiles of the same weights with other preprocessing.
    Raises:
        ModelRefused: says what is wrong, as far as one photo can tell.
    """
    profile = rule.profile
    if profile is None:
        _refuse_other_preprocessing(classifier, rule, profile_folders)
    elif profile.golden:
        try:
            _compare(classifier, rule, profile)
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refused(profile, f"{type(error).__name__}: {error}") from error


def names_digest(class_names: Sequence[str]) -> str:
    """Of all 1000 names in their order: a photo's labels show only a few of them."""
    return hashlib.sha256(json.dumps(list(class_names)).encode()).hexdigest()


def _compare(classifier: Classifier, rule: ThresholdRule, profile: Profile) -> None:
    golden = profile.golden
    data = (profile.folder / golden["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != golden["sha256"]:
        raise _refused(profile, f"{golden['file']} is not the photo that it was measured with")
    if golden.get("classes_sha256") not in (None, names_digest(rule.class_names)):
        raise _refused(
            profile, "the names of the classes, or their order, are not those it was measured with"
        )
    source = InMemoryImageSource()
    source.put(_CLAIM, dict.fromkeys(Rendition, data))
    outcome = check_batch([_CLAIM], source, classifier, rule)[0]
    if outcome.decision is None:
        raise _refused(profile, f"the golden photo got no verdict: {outcome.error}")
    tolerance = float(golden.get("label_tolerance", _label_tolerance(classifier.model_info)))
    if (why := _difference(outcome.decision, golden, tolerance)) is not None:
        raise _refused(profile, why)


def _label_tolerance(model_info: ModelInfo) -> float:
    of_precision = LABEL_TOLERANCE[model_info.precision]
    # A GPU multiplies fp32 as TF32, which has no more digits than fp16.
    return of_precision if model_info.device == "cpu" else max(of_precision, LABEL_TOLERANCE["fp16"])


def _difference(decision: Decision, golden: Mapping[str, Any], tolerance: float) -> str | None:
    for view in Rendition:
        wanted = golden["labels"][view]
        found = {label.name: label.confidence for label in decision.labels[view]}
        name = max({**wanted, **found}, key=lambda name: _apart(name, wanted, found))
        if _apart(name, wanted, found) > tolerance:
            pairs = zip(sorted(wanted.values()), sorted(found.values()), strict=True)
            if all(abs(one - other) <= tolerance for one, other in pairs):
                return f"the {view} is as sure as measured, but of other classes: their order is wrong"
            got, measured = (labels.get(name, 0.0) for labels in (found, wanted))
            return (
                f"{name} got {got:.3f} in the {view} where {measured:.3f} was measured "
                f"(within {tolerance:g}): preprocessing, decoder, classes or weights are other ones"
            )
    if not abs(decision.score - golden["score"]) <= golden["score_tolerance"]:
        return (
            f"the golden photo's score is {decision.score:.3f} where {golden['score']:.3f} was measured "
            f"(within {golden['score_tolerance']:g})"
        )
    return None


def _apart(name: str, wanted: Mapping[str, float], found: Mapping[str, float]) -> float:
    """Only the best five are known: a class that is missing is at most as likely as the last of them."""
    if name in wanted and name in found:
        return abs(wanted[name] - found[name])
    here, there = (wanted, found) if name in wanted else (found, wanted)
    return max(0.0, here[name] - min(there.values()))


def _refuse_other_preprocessing(classifier: Classifier, rule: ThresholdRule, folders: Iterable[Path]) -> None:
    if classifier.preprocessing.decoder != "cpu":
        return  # other pixels on purpose, and marked as uncalibrated
    key = ProfileKey.of(classifier.model_info, classifier.preprocessing, rule.subject)
    for path in (path for folder in folders for path in sorted(folder.glob("*.json"))):
        profile = load_profile(path)
        if replace(profile.key, preprocessing=key.preprocessing) == key:
            raise _refused(
                profile,
                f"the catalogue prepares photos as {key.preprocessing}, where {profile.key.preprocessing} "
                f"was measured; calibrate again, or take {path} away",
            )


def _refused(profile: Profile, why: str) -> ModelRefused:
    return ModelRefused(f"The self-test of profile {profile.profile_id} failed: {why}.")
