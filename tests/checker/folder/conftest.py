"""A loaded model, without a profile, for the tests of the folder tool."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.pipeline import LoadedModel
from checker.runtimes.selection.load import load_classifier
from models.catalogue import class_names, default_weights_dir, resolve


@pytest.fixture(scope="session")
def rule() -> ThresholdRule:
    return ThresholdRule(load_subject("house_cat"), class_names())


@pytest.fixture(scope="session")
def loaded(rule: ThresholdRule) -> Iterator[LoadedModel]:
    classifier = load_classifier(*resolve("efficientnet_lite0", default_weights_dir()), device="cpu")
    yield LoadedModel(classifier, rule)
    classifier.close()
