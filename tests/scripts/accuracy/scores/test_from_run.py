"""The accuracy benchmark computes the same figures from a bulk run as from photos."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from catloader.bulk.engines.sources import FILES
from catloader.bulk.inputs.labelled import files, plan_labelled
from catloader.bulk.run import run
from catloader.settings import Settings
from catloader.wiring import build
from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.subject import SUBJECTS
from checker.evaluation.calibrate import calibrate
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.examples import CalibrationSet
from checker.evaluation.measure import measure
from checker.evaluation.photos import LabelledPhoto
from checker.evaluation.variants import NamedVariant
from checker.ports import Classifier
from scripts import benchmark_accuracy
from tests.support.labelled_folder import labelled_folder

LITE0, HOUSE_CAT = "efficientnet_lite0", SUBJECTS["house_cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two finished plans, their photos, and a profile fitted on the photos."""
    folder = tmp_path_factory.mktemp("from-run")
    data = labelled_folder(folder / "photos", cat=20, not_cat=22, wild_feline=1)
    classifier = NamedVariant(LITE0, "openvino", "int8").load()
    photos = labelled_photos(data)
    _run(folder, "run", photos, classifier)
    _run(folder, "other", photos[18:22], classifier)
    measured = CalibrationSet.of(HOUSE_CAT, measure(photos, classifier))
    info, preprocessing = classifier.model_info, classifier.preprocessing
    profile = calibrate(measured, info, preprocessing, HOUSE_CAT, fit_head=False)
    (folder / "profiles").mkdir()
    profile.save(folder / "profiles/own.json")
    classifier.close()
    return folder


def _run(folder: Path, name: str, photos: list[LabelledPhoto], classifier: Classifier) -> None:
    plan = plan_labelled(
        folder / "bulk" / name, files(photos), FILES, classifier, HOUSE_CAT, unit_rows=9, augmentations=False
    )
    settings = Settings(
        data_dir=folder,
        model=LITE0,
        runtime="openvino",
        precision="int8",
        device="cpu",
        min_free_bytes=0,
        s3_endpoint_url="http://127.0.0.1:1",  # files need no object store
        s3_access_key_id=SecretStr("unused"),
        s3_secret_access_key=SecretStr("unused"),
    )
    services = build(settings, checker=False)
    assert [progress.left for progress in run(services, plan)][-1] == 0
    services.close()


def _measured(out: Path, *words: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Run the benchmark; return its figures without speed and memory, and the lines of its table."""
    options = {"--json": "out.json", "--html": "out.html", "--csv": "out.csv", "--cache": "cache"}
    places = [word for option, name in options.items() for word in (option, str(out / name))]
    assert benchmark_accuracy.main([*words, *places]) == 0
    assert (out / "out.html").read_text().count("data:image/jpeg;base64,") > 20
    result = json.loads((out / "out.json").read_text())
    (model,) = result["models"].values()
    del model["photos_per_s"], model["peak_bytes"]
    lines = list(csv.DictReader((out / "out.csv").read_text().splitlines()))
    return {"model": model, "data": result["data"]}, [{**line, "model": ""} for line in lines]


@pytest.mark.parametrize(
    ("profiles", "scores"), [("own", "cross-validated: "), ("shipped", "as with CATCHECK_RUNTIME=openvino ")]
)
def test_figures_of_a_run_equal_those_of_its_photos(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profiles: str, scores: str
) -> None:
    monkeypatch.setenv("CATLOADER_DATA_DIR", str(folder))
    folders = {"own": folder / "profiles", "shipped": SHIPPED_PROFILES}
    options = ["--profiles", str(folders[profiles]), "--max-fpr", "0.05", "--max-fnr", "0.05"]
    data = [str(folder / "photos"), "--models", f"{LITE0}@openvino-int8"]
    direct, lines = _measured(tmp_path, *data, *options)
    of_run = _measured(tmp_path, "--from-run", "run", *options)
    assert direct["model"]["scores"].startswith(scores)
    assert len(lines) == 43
    assert of_run == (direct, lines)


def test_data_and_a_run_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["photos", "--from-run", "run"]):
        with pytest.raises(SystemExit):
            benchmark_accuracy.main(words)
        assert "give either DATA or --from-run" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        benchmark_accuracy.main(["--from-run", "run", "--positions"])
    assert "a run has no corrupted or moved photos" in capsys.readouterr().err


def test_runs_of_different_photos_are_not_compared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATLOADER_DATA_DIR", str(folder))
    options = ["--max-fpr", "0.05", "--max-fnr", "0.05", "--json", str(tmp_path / "out.json")]
    assert benchmark_accuracy.main(["--from-run", "run,other", *options]) == 2
    assert "run and other are runs of different photos" in capsys.readouterr().err
