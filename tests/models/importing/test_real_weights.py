"""The published ResNet-50 of 2015: its npm package, converted, compared with its own graph on real photos."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import torch

from checker.pixels.decode import decode
from models.build import build
from models.catalogue import class_names
from models.importing.importer import import_weights
from models.importing.tensorflowjs import read_tarball
from tests.support import keras_models, photo_sets
from tests.support.weights import ENTRY

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


def test_the_package_becomes_the_catalogues_file_with_the_logits_of_its_own_graph(
    trained_resnet: Path, tmp_path: Path
) -> None:
    tarball = trained_resnet
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
