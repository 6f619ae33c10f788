"""``models promote`` and ``rollback``, as an operator types them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from catloader.checks.promotion import model_in_force
from catloader.settings import Settings
from tests.catloader.cli.results import broken_profile, one_line

Run = Callable[..., Result]


@pytest.mark.slow
def test_promote_and_rollback(typed: Run, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, weights_dir=tmp_path / "weights")
    typed("db", "migrate")
    assert "none to return to" in one_line(typed("models", "rollback"))
    assert model_in_force(settings) == "auto"

    assert typed("models", "promote", "efficientnet_lite2").output.startswith(
        "efficientnet_lite2 is promoted (efficientnet_lite2, torch fp32, "
    )
    assert model_in_force(settings) == "efficientnet_lite2"
    assert re.search(r"^\* efficientnet_lite2", typed("models", "ls").output, re.MULTILINE)
    typed("models", "promote", "efficientnet_lite2")  # promoting it again must not forget the previous model
    promotion = json.loads((tmp_path / "model.json").read_text())
    assert promotion == {"current": "efficientnet_lite2", "previous": "auto"}

    output = typed("models", "rollback").output
    assert output.startswith("auto is in use again (efficientnet_lite0, ")
    assert "Running checkers load it within 15 s." in output
    assert re.search(r"^\* efficientnet_lite0", typed("models", "ls").output, re.MULTILINE)
    typed("models", "rollback")
    assert model_in_force(settings) == "efficientnet_lite2"


def test_promoting_auto_returns_to_the_best_model_on_disk(typed: Run, tmp_path: Path) -> None:
    for name in ("efficientnet_lite2", "efficientnet_lite0"):  # after two promotions no rollback reaches auto
        typed("models", "promote", name)
    output = typed("models", "promote", "auto").output
    assert output.startswith("auto is promoted (efficientnet_lite0, torch fp32, ")
    promotion = json.loads((tmp_path / "model.json").read_text())
    assert promotion == {"current": "auto", "previous": "efficientnet_lite0"}


def test_explicit_model_wins_over_a_promotion(typed: Run, tmp_path: Path) -> None:
    output = typed("models", "promote", "efficientnet_lite2", CATCHECK_MODEL="efficientnet_lite0").output
    assert "CATCHECK_MODEL=efficientnet_lite0 is set and wins" in output
    ls = typed("models", "ls", CATCHECK_MODEL="efficientnet_lite0").output
    assert re.search(r"^\* efficientnet_lite0", ls, re.MULTILINE)


def test_model_that_cannot_serve_is_not_promoted(typed: Run, tmp_path: Path) -> None:
    assert "not on disk" in one_line(typed("models", "promote", "resnet50"))
    assert "no model called" in one_line(typed("models", "promote", "nosuch"))
    broken_profile(tmp_path / "profiles")
    assert "self-test" in one_line(typed("models", "promote", "efficientnet_lite0"))
    assert not (tmp_path / "model.json").exists()
    assert typed("models", "promote", "efficientnet_lite2").exit_code == 0
    # The rollback would return to the model that the catalogue prefers, whose self-test fails.
    assert "self-test" in one_line(typed("models", "rollback"))
    assert json.loads((tmp_path / "model.json").read_text())["current"] == "efficientnet_lite2"


def test_promoted_model_without_weights_is_named(typed: Run, tmp_path: Path) -> None:
    typed("db", "migrate", AWS_ENDPOINT_URL_S3="", DATABASE_URL="")
    (tmp_path / "model.json").write_text('{"current": "resnet50", "previous": "auto"}')
    refused = one_line(typed("check", "verify", AWS_ENDPOINT_URL_S3="", DATABASE_URL=""))
    assert "promoted model resnet50 are not on disk" in refused
    assert "catloader models rollback" in refused
    (tmp_path / "model.json").write_text("{")
    assert "model.json can't be read" in one_line(typed("models", "ls"))
