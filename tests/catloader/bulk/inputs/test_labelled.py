"""Calibration from plans of labelled photos: the same profiles as without a plan, to the last digit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import update

from catloader.bulk.calibration import calibrated
from catloader.bulk.engines.sources import FILES, TABLE
from catloader.bulk.inputs.labelled import files, plan_labelled, reviewed
from catloader.bulk.kept.columns import ARRAYS, kept_units
from catloader.bulk.kept.results import calibration_set
from catloader.bulk.plan import BulkError, Plan
from catloader.bulk.run import run
from catloader.checks.reviewed_photos import reviewed_photos
from catloader.cli import main
from catloader.cli.bulk.labelled import examples
from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import photos as table
from catloader.wiring import build, build_object_store
from checker.decision.subject import SUBJECTS
from checker.evaluation.calibrate import calibrate, measure_and_calibrate, write_profile
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.examples import CalibrationSet, Examples
from checker.evaluation.measure import measure
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, both_labels
from checker.evaluation.variants import NamedVariant
from checker.ports import Classifier
from tests.catloader.bulk.conftest import BulkSite, results
from tests.support import openvino_variants
from tests.support.labelled_folder import labelled_folder

LITE0, HOUSE_CAT = "efficientnet_lite0", SUBJECTS["house_cat"]
TORCH = {"CATCHECK_RUNTIME": "torch", "CATCHECK_PRECISION": "fp32", "CATCHECK_DEVICE": "cpu"}
"""The variant with which int8 is compared. It is four times as slow as the other variants."""
INT8 = {"CATCHECK_RUNTIME": "openvino", "CATCHECK_PRECISION": "int8", "CATCHECK_DEVICE": "cpu"}


@pytest.fixture(scope="module")
def weights_dir() -> Path:
    """A folder with the OpenVINO fp32 variant."""
    openvino_variants.made("fp32")
    return openvino_variants.folder("fp32")


@pytest.fixture(scope="module")
def site(make_site: Callable[[int], Any], weights_dir: Path) -> Iterator[BulkSite]:
    """A site whose bulk runs use OpenVINO fp32."""
    environ = {**INT8, "CATCHECK_PRECISION": "fp32", "CATCHECK_WEIGHTS_DIR": str(weights_dir)}
    with make_site(0) as made:
        settings = made.settings.with_changes(
            runtime="openvino", precision="fp32", device="cpu", weights_dir=weights_dir
        )
        yield replace(made, environ={**made.environ, **environ}, settings=settings)


@pytest.fixture(scope="module")
def classifier(weights_dir: Path) -> Iterator[Classifier]:
    loaded = NamedVariant(LITE0, "openvino", "fp32", weights_dir=weights_dir).load()
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest set of photos from which a site's profile can be made."""
    folder = tmp_path_factory.mktemp("labelled") / "photos"
    return labelled_folder(folder, cat=20, not_cat=20, wild_feline=1)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "photos"
    return labelled_folder(folder, cat=5, not_cat=6, wild_feline=1)


@pytest.fixture(scope="module")
def planned(site: BulkSite, classifier: Classifier) -> Callable[..., Plan]:
    """Return a function that plans the files of a folder."""

    def make(name: str, folder: Path, **options: Any) -> Plan:
        photos = files(labelled_photos(folder))
        arguments = {"unit_rows": 10, "fewest": 1, **options}
        return plan_labelled(site.folder / "bulk" / name, photos, FILES, classifier, HOUSE_CAT, **arguments)

    return make


@pytest.fixture(scope="module")
def direct(data: Path, classifier: Classifier) -> CalibrationSet:
    return _direct(labelled_photos(data), classifier)


@pytest.fixture(scope="module")
def done(site: BulkSite, planned: Callable[..., Plan], data: Path) -> Plan:
    """A plan of ``data`` that ran in OpenVINO fp32, interrupted after its first unit."""
    plan = planned("files", data)
    services = build(site.settings, checker=False)
    for _ in run(services, plan):
        break
    services.close()
    (first,) = results(plan.folder)
    written_ns = first.stat().st_mtime_ns
    site.type("bulk", "resume", "files")
    assert first.stat().st_mtime_ns == written_ns
    return plan


@pytest.fixture(scope="module")
def on_ray(site: BulkSite, planned: Callable[..., Plan], few: Path) -> Plan:
    plan = planned("ray", few, unit_rows=4)
    site.type("bulk", "run", "ray", "--engine", "ray", CATCHECK_WORKERS="2", **TORCH)
    return plan


def _direct(photos: Sequence[LabelledPhoto], classifier: Classifier) -> CalibrationSet:
    return CalibrationSet.of(HOUSE_CAT, measure(photos, classifier, augmented=True))


def _assert_equal(of_run: CalibrationSet, direct: CalibrationSet) -> None:
    assert of_run.data == direct.data
    for field in fields(Examples):
        arrays = (getattr(one.examples, field.name) for one in (of_run, direct))
        assert np.array_equal(*arrays), field.name
    assert np.array_equal(of_run.wild_odds, direct.wild_odds)
    assert np.array_equal(of_run.wild_features, direct.wild_features)


def test_files_of_a_resumed_run_are_measured_as_without_a_plan(done: Plan, direct: CalibrationSet) -> None:
    measured = calibration_set(done, HOUSE_CAT, augmented=True, features=True)
    assert len(measured.examples.photo) == 4 * 40
    assert measured.wild_features.shape == (1, 3, 5, 1280)
    _assert_equal(measured, direct)
    without = calibration_set(done, HOUSE_CAT, augmented=True, features=False)
    assert np.array_equal(without.examples.odds, measured.examples.odds)
    assert without.examples.features.nbytes == 0


def test_reviewed_photos_are_measured_as_without_a_plan(
    site: BulkSite, few: Path, classifier: Classifier
) -> None:
    for label in (CAT, NOT_CAT):
        ids = site.add(*(path.read_bytes() for path in sorted((few / label).iterdir())[:2]))
        values = {"human_verdict": label, "human_verdict_at": utcnow()}
        with writing(site.engine) as connection:
            connection.execute(update(table).where(table.c.id.in_(ids)).values(values))
    rows, folder = reviewed(BulkTable(site.engine)), site.folder / "bulk/reviewed"
    plan = plan_labelled(folder, rows, TABLE, classifier, HOUSE_CAT, unit_rows=3, fewest=1)
    site.type("bulk", "run", "reviewed")
    stored = reviewed_photos(Photos(site.engine), build_object_store(site.settings))
    measured = calibration_set(plan, HOUSE_CAT, augmented=True, features=True)
    _assert_equal(measured, _direct(both_labels(stored, "database"), classifier))


@pytest.mark.timeout(600)
def test_photos_are_measured_on_ray_as_without_a_plan(on_ray: Plan, few: Path) -> None:
    measured = calibration_set(on_ray, HOUSE_CAT, augmented=True, features=True)
    with closing(NamedVariant(LITE0, "torch", "fp32").load()) as classifier:
        _assert_equal(measured, _direct(labelled_photos(few), classifier))


def test_profile_from_a_run_equals_the_direct_one(
    site: BulkSite, done: Plan, direct: CalibrationSet, classifier: Classifier, tmp_path: Path
) -> None:
    out = tmp_path / "of-run"
    output = site.type("models", "calibrate", "--from-run", done.folder.name, "--out", str(out)).output
    info, preprocessing = classifier.model_info, classifier.preprocessing
    profile = calibrate(direct, info, preprocessing, HOUSE_CAT, fit_head=False)
    path = write_profile(profile, classifier, tmp_path / "direct")
    assert f"written to {out / path.name}" in output
    assert _comparable(out / path.name) == _comparable(path)


@pytest.mark.timeout(600)
def test_profile_from_an_int8_run_equals_the_direct_one(
    site: BulkSite, planned: Callable[..., Plan], done: Plan, on_ray: Plan, *, few: Path, tmp_path: Path
) -> None:
    int8 = planned("int8", few)
    site.type("bulk", "run", "int8", **INT8)
    weights_dir = site.settings.weights_dir
    with pytest.raises(BulkError, match=r"ran in int8: name a plan of .* torch fp32 \(--fp32-run\)\.$"):
        calibrated(int8, None, weights_dir=weights_dir, fit_head=False)
    with pytest.raises(
        BulkError, match="The plan files did not run efficientnet_lite0 in torch fp32 on a CPU"
    ):
        calibrated(int8, done, weights_dir=weights_dir, fit_head=False)
    variant = NamedVariant(LITE0, "openvino", "int8")
    without_plan = measure_and_calibrate(labelled_photos(few), variant, HOUSE_CAT, fit_head=False)
    of_runs = calibrated(int8, on_ray, weights_dir=weights_dir, fit_head=False)
    paths = []
    for number, (profile, loaded) in enumerate((of_runs, without_plan)):
        paths.append(tmp_path / f"{number}.json")
        profile.save(paths[-1])
        loaded.close()
    assert _comparable(paths[0]) == _comparable(paths[1])


def _comparable(path: Path) -> dict[str, Any]:
    """Return a profile without the values that differ between two runs of the same command."""
    profile: dict[str, Any] = json.loads(path.read_text("utf-8"))
    made = profile["made"]
    for part, name in ((made, "date"), (made, "command"), (made["machine"], "load")):
        part.pop(name)
    return profile


def test_plans_that_calibration_cannot_use_are_named(
    site: BulkSite, planned: Callable[..., Plan], done: Plan, few: Path
) -> None:
    def refusal(*words: str) -> str:
        refused = CliRunner().invoke(main, words, env=site.environ)
        assert refused.exit_code in (1, 2)
        return refused.output

    command = ("models", "calibrate")
    assert "Give either DATA or --from-run." in refusal(*command)
    assert "Give either DATA or --from-run." in refusal(*command, str(few), "--from-run", "files")
    assert "leave out --runtime" in refusal(*command, "--from-run", "files", "--runtime", "torch")
    subject = refusal(*command, "--from-run", "files", "--subject", "dog")
    assert "The plan files is for the subject house_cat." in subject
    planned("begun", few)
    assert "The plan begun is not done" in refusal(*command, "--from-run", "begun")
    planned("plain", few, augmentations=False)
    site.type("bulk", "run", "plain")
    assert "The plan plain has no augmentations" in refusal(*command, "--from-run", "plain")
    site.type("bulk", "plan", "verdicts")
    assert "The plan verdicts keeps verdicts only" in refusal(*command, "--from-run", "verdicts")
    too_few = refusal("bulk", "plan", "few", "--labelled", str(few))
    assert "at least 50 photos of either label are needed; there are 5 of cat and 6 of not_cat" in too_few
    assert not (site.folder / "bulk/few").exists()


def test_unreadable_photo_is_named_with_the_remedy(
    site: BulkSite, planned: Callable[..., Plan], few: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(few, tmp_path / "photos")
    plan = planned("broken", folder, augmentations=False)
    broken = folder / "cat/003.jpg"
    photo = broken.read_bytes()
    broken.write_bytes(b"no photo")
    site.type("bulk", "run", "broken")
    assert plan.done() == plan.units
    refused = CliRunner().invoke(main, ["models", "calibrate", "--from-run", "broken"], env=site.environ)
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: cat/003.jpg: This is not a photo")
    assert refused.output.count("\n") == 1

    broken.write_bytes(photo)
    advice = re.search(r"Once it can be read, delete (\S+); `catloader (.+?)`", refused.output)
    assert advice is not None
    Path(advice[1]).unlink()
    assert site.type(*advice[2].split()).output.startswith("2 of 2 units done")
    assert len(list(kept_units(plan))) == 2


def test_expected_time_of_a_plan_includes_the_augmentations(planned: Callable[..., Plan], few: Path) -> None:
    assert examples(planned("augmented", few)) == 4 * 12


def test_a_plan_prints_the_size_of_its_results(site: BulkSite, few: Path) -> None:
    output = site.type("bulk", "plan", "size", "--labelled", str(few), "--no-augmentations").output
    plan = Plan(site.folder / "bulk/size")
    assert output.startswith("12 photos, ")
    assert examples(plan) == 12
    assert "The run keeps at most 137 kB a photo for calibration, 1.6 MB in all.\n" in output
    site.type("bulk", "run", "size")
    size_bytes = sum(unit.stat().st_size for unit in results(plan.folder))
    assert 0.4 * 12 * 136_920 < size_bytes < 12 * 136_920
    assert not any({*ARRAYS} & set(row) for rows in plan.results() for row in rows)
