"""Recipes reproduce the files that they were made from, or are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.decision.operating_point import SHIPPED_PROFILES
from models import optimise as making
from models.catalogue import Entry, entry_named
from models.errors import OptimiseFailed
from models.openvino_ir import SHIPPED, Manifest, verify
from models.recipes import Integers, Recipe, read_recipe, recipes, tensors_of, write_recipe
from models.tensor_file import canonical

RESNET = entry_named("resnet50_v1")
EPSILON = 1e-5


def tensors(seed: int = 7) -> dict[str, np.ndarray]:
    """Make a layer of 8 outputs with a batch norm, a layer without weights, and a layer of 3 outputs."""
    random = np.random.default_rng(seed)
    weight = random.normal(size=(8, 4, 3, 3)).astype(np.float32)
    weight[2] = 0
    return {
        "conv.weight": weight,
        "bn.weight": random.uniform(0.5, 2, 8).astype(np.float32),
        "bn.running_var": random.uniform(0.1, 3, 8).astype(np.float32),
        "fc.weight": random.normal(size=(3, 8)).astype(np.float32),
    }


def made(folder: Path) -> tuple[Recipe, bytes]:
    """Return a recipe, in which two integers are rounded otherwise than by NumPy, and its weights."""
    layers = tensors()
    factor = layers["bn.weight"] / np.sqrt(layers["bn.running_var"] + EPSILON)
    folded = (layers["conv.weight"] * factor[:, None, None, None]).reshape(8, -1)
    scales = [np.maximum(np.abs(rows).max(1) / 64, 0).astype("<f4") for rows in (folded, layers["fc.weight"])]
    with np.errstate(invalid="ignore"):
        first = np.nan_to_num(np.rint(folded / scales[0][:, None])).astype(np.int8)
    first[5, :2] += 1
    second = np.rint(layers["fc.weight"] / scales[1][:, None]).astype(np.int8)
    weights = scales[0].tobytes() + first.tobytes() + scales[1].tobytes() + second.tobytes()
    at = 32 + first.size
    xml = b"<net/>"
    manifest = Manifest(
        RESNET.name,
        "int8",
        RESNET.preprocessing.key,
        RESNET.sha256,
        hashlib.sha256(xml).hexdigest(),
        hashlib.sha256(weights).hexdigest(),
        path=folder / f"{RESNET.name}-int8-0123456789ab.xml",
    )
    rest = scales[0].tobytes() + bytes(first.size) + scales[1].tobytes() + bytes(second.size)
    corrected = np.array([32 + 5 * 36, 32 + 5 * 36 + 1])
    recipe = Recipe(
        manifest,
        xml,
        rest,
        (Integers(32, "conv.weight", 0, "bn", EPSILON), Integers(at + 12, "fc.weight", at)),
        corrected,
        np.frombuffer(weights, np.uint8)[corrected],
    )
    return recipe, weights


def test_a_recipe_reproduces_the_files_that_it_was_made_from(tmp_path: Path) -> None:
    recipe, weights = made(tmp_path)
    path = write_recipe(recipe, tmp_path)
    assert path.name == f"{RESNET.name}-int8-0123456789ab.recipe.npz"
    assert read_recipe(path).files(tensors()) == (b"<net/>", weights)
    (listed,) = recipes(RESNET, folder=tmp_path)
    assert (listed.weights_sha256, listed.path) == (hashlib.sha256(weights).hexdigest(), path)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    recipe, _ = made(tmp_path)
    one_less = dict(list(tensors().items())[1:])
    smaller = {name: tensor[:2] for name, tensor in tensors().items()}
    for other in (tensors(seed=8), one_less, smaller, {}):
        with pytest.raises(OptimiseFailed, match="the weights of resnet50_v1 differ"):
            recipe.files(other)


def test_recipes_of_other_weights_or_pixels_are_not_listed(tmp_path: Path) -> None:
    recipe, _ = made(tmp_path)
    changed: list[dict[str, Any]] = [{"source_sha256": "f" * 64}, {"preprocessing": "others"}]
    for changes in changed:
        write_recipe(
            dataclasses.replace(recipe, manifest=dataclasses.replace(recipe.manifest, **changes)), tmp_path
        )
        assert not list(recipes(RESNET, folder=tmp_path))
    write_recipe(recipe, tmp_path)
    assert not list(recipes(RESNET, "e" * 64, tmp_path))


def test_damaged_recipes_are_refused_and_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_recipe(made(tmp_path)[0], tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (
        b"",
        b"no archive",
        whole[:middle],
        whole[:middle] + bytes(99) + whole[middle + 99 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(OptimiseFailed, match=r"is damaged|does not give the int8 variant"):
            read_recipe(path).files(tensors())
    path.write_bytes(b"no archive")
    with caplog.at_level(logging.WARNING):
        assert not list(recipes(RESNET, folder=tmp_path))
    assert f"{path} is damaged" in caplog.text


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Entry, Path]:
    """Return a model whose weights have a recipe, and the file of its weights."""
    recipe, _ = made(tmp_path)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"".join(canonical(tensors())))
    entry = dataclasses.replace(RESNET, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    manifest = dataclasses.replace(recipe.manifest, source_sha256=entry.sha256)
    path = write_recipe(dataclasses.replace(recipe, manifest=manifest), tmp_path)
    monkeypatch.setattr(making, "recipes", lambda entry, sha256: recipes(entry, sha256, path.parent))
    return entry, file


def test_a_variant_is_rebuilt_once_and_again_when_it_is_damaged(
    source: tuple[Entry, Path], tmp_path: Path
) -> None:
    entry, file = source
    _, weights = made(tmp_path)
    folder = tmp_path / "made"
    manifest = making.optimise(entry, file, folder, "int8")
    verify(manifest)
    assert manifest.path.with_suffix(".bin").read_bytes() == weights
    manifest.path.with_suffix(".bin").write_bytes(b"damaged")
    verify(making.optimise(entry, file, folder, "int8"))
    manifest.path.with_suffix(".bin").chmod(0o400)
    before = manifest.path.stat().st_mtime_ns
    verify(making.optimise(entry, file, folder, "int8"))
    assert manifest.path.stat().st_mtime_ns == before
    assert sorted(path.suffix for path in folder.iterdir()) == [".bin", ".json", ".xml"]


def test_a_variant_that_cannot_be_written_is_reported_in_one_sentence(
    source: tuple[Entry, Path], tmp_path: Path
) -> None:
    """A variant that is converted from torch is saved by the same function."""
    entry, file = source
    path = tmp_path / "made" / made(tmp_path)[0].manifest.path.with_suffix(".bin").name
    path.mkdir(parents=True)
    with pytest.raises(OptimiseFailed, match=r"\.xml could not be written: Is a directory\.$"):
        making.optimise(entry, file, path.parent, "int8")
    assert list(path.parent.iterdir()) == [path]


def test_weights_in_another_form_are_refused(tmp_path: Path) -> None:
    for data in (b"", b"a pickle"):
        (tmp_path / "weights.pth").write_bytes(data)
        with pytest.raises(OptimiseFailed, match="can't be read"):
            tensors_of(tmp_path / "weights.pth")
    with pytest.raises(OptimiseFailed, match="can't be read"):
        tensors_of(tmp_path / "none")


def test_each_shipped_recipe_has_a_profile() -> None:
    profiles = [json.loads(path.read_text("utf-8")) for path in SHIPPED_PROFILES.glob("*.json")]
    keys = {(one["model"], one["key"]["precision"], one["key"]["weights_sha256"]) for one in profiles}
    shipped = list(SHIPPED.glob("*.recipe.npz"))
    assert shipped
    for path in shipped:
        manifest = read_recipe(path).manifest
        assert (manifest.model, "int8", manifest.bin_sha256) in keys
        assert manifest.source_sha256.startswith(entry_named(manifest.model).sha256)
