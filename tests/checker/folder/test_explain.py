"""The command ``explain`` asks the variant that checks whether a photo is turned."""

from __future__ import annotations

import contextlib

import pytest

from checker.decision.orientation import VERSION
from checker.decision.subject import load_subject
from checker.folder.arguments import CheckOptions, ExplainOptions, parse
from checker.folder.commands import request_of
from checker.folder.explain import checking_classifier
from checker.runtimes.selection.select import select_model
from models.catalogue import class_names, resolve


@pytest.mark.slow
def test_the_orientation_is_that_of_a_check() -> None:
    model = ["--model", "efficientnet_lite0"]
    explain, check = parse(["explain", "cat.jpg", "-o", "why.png", *model]), parse(["cat.jpg", *model])
    assert isinstance(explain, ExplainOptions)
    assert isinstance(check, CheckOptions)
    models = [resolve(check.model, check.weights_dir)]
    checks = select_model(models, load_subject(check.subject, class_names()), request_of(check)).classifier
    with contextlib.closing(checks), contextlib.closing(checking_classifier(explain)) as classifier:
        assert classifier.model_info == checks.model_info
        assert VERSION in classifier.model_info.versions
