"""Plans of labelled photos in a bucket: the same labels and measurements as those of a copy on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from catloader.bulk.inputs.labelled import plan_labelled
from catloader.bulk.inputs.labelled_objects import labelled_objects
from catloader.bulk.kept.results import calibration_set
from catloader.bulk.plan import BulkError
from catloader.cli import main
from catloader.store.kinds import ObjectKind
from catloader.wiring import build_object_store
from checker.decision.subject import SUBJECTS
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.examples import CalibrationSet
from checker.evaluation.measure import measure
from checker.evaluation.photos import UnusablePhotos
from checker.evaluation.variants import NamedVariant
from tests.catloader.bulk.conftest import BulkSite
from tests.support import openvino_variants
from tests.support.labelled_folder import labelled_folder

FP32 = {"CATCHECK_RUNTIME": "openvino", "CATCHECK_PRECISION": "fp32", "CATCHECK_DEVICE": "cpu"}
"""OpenVINO, because torch takes four times as long."""


@pytest.fixture(scope="module")
def site(make_site: Callable[[int], Any]) -> Iterator[BulkSite]:
    openvino_variants.made("fp32")
    with make_site(0) as made:
        weights_dir = openvino_variants.folder("fp32")
        environ = {**made.environ, "CATCHECK_WEIGHTS_DIR": str(weights_dir)}
        yield replace(made, environ=environ, settings=made.settings.with_changes(weights_dir=weights_dir))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = labelled_folder(tmp_path_factory.mktemp("few") / "photos", cat=4, not_cat=5, wild_feline=1)
    with Image.open(folder / "cat/000.jpg") as photo:
        photo.resize((5200, 4600)).save(
            folder / "cat/000.jpg"
        )  # large enough that the site decodes it at a lower resolution
    return folder


def _put(site: BulkSite, prefix: str, contents: dict[str, bytes]) -> str:
    """Store files below a prefix; return its address."""
    objects = build_object_store(site.settings)
    for name, content in contents.items():
        objects.put(ObjectKind.PHOTO, f"{prefix}/{name}", content)
    return f"s3://{site.settings.s3_photos_bucket}/{prefix}"


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


def test_objects_are_measured_as_a_copy_on_disk(site: BulkSite, few: Path) -> None:
    bucket, photos = labelled_objects(site.settings, _put(site, "sets/of classes", _files(few)))
    variant = NamedVariant(
        "efficientnet_lite0", "openvino", "fp32", weights_dir=openvino_variants.folder("fp32")
    )
    classifier, subject = variant.load(), SUBJECTS["house_cat"]
    folder = site.folder / "bulk/objects"
    try:
        plan = plan_labelled(folder, photos, bucket, classifier, subject, unit_rows=4, fewest=1)
        site.type("bulk", "run", "objects", **FP32)
        direct = CalibrationSet.of(subject, measure(labelled_photos(few), classifier, augmented=True))
    finally:
        classifier.close()
    measured = calibration_set(plan, subject, augmented=True, features=True)
    assert measured.data == direct.data
    assert np.array_equal(measured.examples.odds, direct.examples.odds)
    assert np.array_equal(measured.examples.features, direct.examples.features)


def test_command_plans_a_table_and_its_folder(site: BulkSite, few: Path) -> None:
    contents = {f"{number} ü/photo.jpg": data for number, data in enumerate(_files(few).values())}
    rows = "".join(f"{name},{'cat' if number % 2 else 'not_cat'}\n" for number, name in enumerate(contents))
    address = _put(site, "table", {**contents, "labels.csv": f"file,label\n{rows}".encode(), "a.txt": b"-"})
    expected = {f"table/{name}": len(data) for name, data in contents.items()}
    for data in (address, f"{address}/", f"{address}/labels.csv"):
        bucket, photos = labelled_objects(site.settings, data)
        assert bucket == site.settings.s3_photos_bucket
        assert {photo.photo_key: photo.size_bytes for photo in photos} == expected
        assert [photo.labelled.label for photo in photos if photo.labelled] == ["not_cat", "cat"] * 5
    words = ("bulk", "plan", "table", "--labelled", address, "--no-augmentations")
    assert site.type(*words, **FP32).output.startswith("10 photos, ")


def test_prefixes_without_labelled_photos_are_named(site: BulkSite, few: Path) -> None:
    def refusal(*words: str) -> str:
        refused = CliRunner().invoke(main, words, env={**site.environ, **FP32})
        assert refused.exit_code == 1
        assert refused.output.count("\n") == 1
        return refused.output

    plan = ("bulk", "plan", "nothing", "--labelled")
    bucket = site.settings.s3_photos_bucket
    assert f"s3://{bucket}/nothing: no table with the columns" in refusal(*plan, f"s3://{bucket}/nothing")
    assert "is not an address such as s3://bucket/prefix" in refusal(*plan, "s3://")
    assert "no-such-bucket" in refusal(*plan, "s3://no-such-bucket/a")
    assert not (site.folder / "bulk/nothing").exists()
    sentence = refusal("models", "calibrate", f"s3://{bucket}/nothing")
    assert f"`catloader bulk plan NAME --labelled s3://{bucket}/nothing`" in sentence
    (name, data), *_ = _files(few).items()
    table = f"file,label\n{few}/{name},cat\nhere.jpg,not_cat\n".encode()
    outside = _put(site, "outside", {"labels.csv": table, "here.jpg": data})
    with pytest.raises(BulkError, match="is not below the address"):
        labelled_objects(site.settings, outside)
    with pytest.raises(
        UnusablePhotos, match=r"^s3://.*/missing/labels.csv, line 2: there is no file 'a.jpg'"
    ):
        labelled_objects(site.settings, _put(site, "missing", {"labels.csv": b"file,label\na.jpg,cat\n"}))
