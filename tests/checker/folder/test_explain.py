"""The command ``explain`` asks the variant that checks whether a photo is turned."""

from __future__ import annotations

from pathlib import Path

import pytest

from checker.decision.orientation import VERSION
from checker.decision.subject import load_subject
from checker.folder.arguments import OK, CheckOptions, ExplainOptions, parse
from checker.folder.commands import _request
from checker.folder.explain import explain
from checker.ports import Classifier
from checker.runtimes.selection.select import select_model
from checker.upright import upright_evidence
from checker.values import Activations, Evidence, ModelInfo, Pixels
from models.catalogue import class_names, resolve
from tests.support.photo_sets import OWN_PHOTOS

CAT = str(OWN_PHOTOS.folder / "cat" / "chelsea.jpg")


def test_the_orientation_is_that_of_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[ModelInfo] = []

    def recorded(activations: Activations, pixels: Pixels, classifier: Classifier) -> Evidence:
        used.append(classifier.model_info)
        return upright_evidence(activations, pixels, classifier)

    monkeypatch.setattr("checker.folder.explain.upright_evidence", recorded)
    model = ["--model", "efficientnet_lite0"]
    options = parse(["explain", CAT, "-o", str(tmp_path / "why.png"), *model])
    assert isinstance(options, ExplainOptions)
    assert explain(options) == OK

    check = parse([CAT, *model])
    assert isinstance(check, CheckOptions)
    models = [resolve(check.model, check.weights_dir)]
    checks = select_model(models, load_subject(check.subject, class_names()), _request(check)).classifier
    assert used == [checks.model_info]
    assert VERSION in used[0].versions
    checks.close()
