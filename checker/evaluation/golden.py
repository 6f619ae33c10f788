"""The golden test of a profile: the model's output for one shipped photo, which the self-test compares."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from checker.decision.operating_point import SHIPPED_PROFILES, ThresholdRule
from checker.decision.profile import Profile
from checker.pixels.decode import model_inputs
from checker.ports import Classifier
from checker.runtimes.selection.self_test import names_digest
from checker.upright import upright_evidence
from checker.values import Rendition

PHOTO = SHIPPED_PROFILES / "golden.jpg"
"""Chelsea the cat, from scikit-image (CC0, by Stefan van der Walt)."""
SCORE_TOLERANCE = 0.02
"""Another processor or a GPU changes a score by far less; swapped channels or classes by far more."""


def golden_test(profile: Profile, classifier: Classifier, folder: Path, rule: ThresholdRule) -> Profile:
    """Return the profile with its golden test; copy the photo to ``folder``, next to the profile."""
    data = PHOTO.read_bytes()
    (folder / PHOTO.name).write_bytes(data)
    pixels = model_inputs(dict.fromkeys(Rendition, data), classifier.preprocessing)
    decision = rule.decide(upright_evidence(classifier.run(pixels), pixels, classifier)[0])
    golden = {
        "file": PHOTO.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "classes_sha256": names_digest(rule.class_names),
        "score": round(decision.score, 6),
        "score_tolerance": SCORE_TOLERANCE,
        "labels": {
            rendition.value: {label.name: round(label.confidence, 6) for label in labels}
            for rendition, labels in decision.labels.items()
        },
    }
    return dataclasses.replace(profile, golden=golden)
