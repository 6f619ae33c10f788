"""A TensorFlow.js model is read completely, and no file outside its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import WeightsRefused
from models.importing.tensorflowjs import read_folder, read_tarball
from tests.support import keras_models

ARRAYS = {
    "conv1/kernel": np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2),
    "conv1/bias": np.array([1, 2], np.float32),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in eleven shards, whose boundaries lie inside an array; tar has the tenth before the second."""
    return keras_models.write_folder(tmp_path / "model", [], ARRAYS, shard_bytes=10)


def test_the_arrays_are_read_across_shards_from_folder_and_tarball(folder: Path, tmp_path: Path) -> None:
    assert len(list(folder.glob("*.bin"))) == 11
    for read in (
        read_folder(folder),
        read_folder(folder.parent),
        read_tarball(keras_models.write_tarball(tmp_path / "model.tgz", folder)),
    ):
        assert read.keys() == ARRAYS.keys()
        for name, values in ARRAYS.items():
            np.testing.assert_array_equal(read[name], values, strict=True)


def change(folder: Path, **changes: Any) -> None:
    """Change the first weight or the shards of the manifest."""
    model = json.loads((folder / "model.json").read_text())
    group = model["weightsManifest"][0]
    group["paths"] = changes.pop("paths", group["paths"])
    group["weights"][0] |= changes
    (folder / "model.json").write_text(json.dumps(model))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"paths": ["../secret.bin"]}, "names files outside its folder"),
        ({"paths": ["/etc/hostname"]}, "names files outside its folder"),
        ({"paths": ["gone.bin"]}, r"lacks the file gone\.bin"),
        ({"dtype": "uint8"}, "holds conv1/kernel in another type than float32"),
        ({"quantization": {"scale": 0.1}}, "in another type than float32"),
        ({"shape": [1 << 40]}, "truncated"),
        ({"shape": None}, "does not describe a layers model"),
    ],
)
def test_an_unreadable_model_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(104))
    change(folder, **changes)
    with pytest.raises(WeightsRefused, match=reason):
        read_folder(folder)
    with pytest.raises(WeightsRefused, match=reason):
        read_tarball(keras_models.write_tarball(tmp_path / "model.tgz", folder))


def test_a_truncated_tarball_and_a_folder_without_a_model_are_refused(folder: Path, tmp_path: Path) -> None:
    tarball = keras_models.write_tarball(tmp_path / "model.tgz", folder)
    tarball.write_bytes(tarball.read_bytes()[:2000])
    with pytest.raises(WeightsRefused, match=r"model\.tgz is truncated"):
        read_tarball(tarball)
    (folder / "model.json").write_text(100_000 * "[")
    with pytest.raises(WeightsRefused, match="does not describe a layers model"):
        read_folder(folder)
    (folder / "model.json").unlink()
    with pytest.raises(WeightsRefused, match=r"holds 0 files called model\.json"):
        read_folder(folder)
