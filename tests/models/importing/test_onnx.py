"""ONNX files become models of the catalogue, or imported ones, if they reproduce their own logits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.build import architecture, build
from models.catalogue import Entry, entry_named, imported, resolve
from models.errors import UnknownModel, WeightsRefused
from models.importing.compare import TOLERANCE, example_pixels, normalised
from models.importing.importer import Origin, import_weights
from models.tensor_file import canonical_sha256, parse
from tests.support.onnx_models import ResNetWriter, State, field, node, random_state, tensor, value_info

RESNET18 = [entry_named("resnet18")]


@pytest.fixture(scope="module")
def state() -> State:
    return random_state(architecture("resnet18"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "exported.onnx"


def own_logits(state: State, entry: Entry) -> np.ndarray:
    network = architecture("resnet18").eval()
    network.load_state_dict(dict(state), strict=False)
    inputs = torch.from_numpy(normalised(example_pixels(224), entry.preprocessing))
    with torch.inference_mode():
        return np.asarray(network(inputs)[1][:, 0])


@pytest.mark.parametrize("merged", [False, True], ids=["with batch norms", "with merged batch norms"])
def test_an_export_becomes_a_model_with_its_own_logits(
    merged: bool, state: State, source: Path, tmp_path: Path
) -> None:
    ResNetWriter(state, merged=merged).write(source)
    weights = tmp_path / "weights"
    result = import_weights(source, weights, RESNET18, others=Origin("our own training", "CC0-1.0"))

    assert result.logit_difference is not None
    assert result.logit_difference < TOLERANCE
    entry, path = resolve(result.entry.name, weights)
    assert (entry, path) == (result.entry, result.path)
    assert entry.name == f"resnet18_{entry.sha256[:8]}"
    assert (entry.acc1, entry.licence, entry.source) == (None, "CC0-1.0", "our own training")
    assert entry.preprocessing == entry_named("resnet18").preprocessing
    expected = own_logits(state, entry)
    inputs = torch.from_numpy(normalised(example_pixels(224), entry.preprocessing))
    with torch.inference_mode():
        logits = build(entry, path)(inputs)[1][:, 0].numpy()
    assert np.abs(logits - expected).max() < TOLERANCE * np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 100 * TOLERANCE * np.abs(expected).max()
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["imported_from"]["format"] == "ONNX"
    assert set(manifest["versions"]) == {"numpy", "openvino", "torch"}


def test_the_parameters_of_a_catalogue_model_are_recognised_by_their_digest(
    state: State, source: Path, tmp_path: Path
) -> None:
    digest = canonical_sha256({name: values.numpy() for name, values in state.items()})
    entry = replace(RESNET18[0], sha256=digest, file="ours.safetensors")
    ResNetWriter(state, merged=False).write(source)
    assert import_weights(source, tmp_path / "weights", [entry]).entry == entry


def test_probabilities_and_weights_in_an_external_file_are_accepted(
    state: State, source: Path, tmp_path: Path
) -> None:
    ResNetWriter(state, merged=True, end="Softmax").write(source, beside="exported.onnx.data")
    assert import_weights(source, tmp_path / "weights", RESNET18, others=Origin()).entry.acc1 is None
    source.with_name("exported.onnx.data").unlink()
    refused(source, "or lacks the external file with its weights")


@pytest.mark.parametrize(
    "form",
    [
        {"end": "Softmax", "opset": 9},
        {"end": "LogSoftmax"},
        {"shortcut_first": True},
        {"channels_last": True},
    ],
    ids=["early softmax", "logarithm of softmax", "shortcut first", "channels last"],
)
def test_exports_of_other_programs_become_the_same_model(
    form: dict[str, Any], state: State, source: Path, tmp_path: Path
) -> None:
    ResNetWriter(state, merged=False, **form).write(source)
    result = import_weights(source, tmp_path / "weights", RESNET18, others=Origin())
    stored = parse(result.path.read_bytes())
    assert stored.keys() == state.keys()
    assert all(np.array_equal(stored[name], values.numpy()) for name, values in state.items())


def test_a_model_of_halves_is_compared_without_rounding(state: State, source: Path, tmp_path: Path) -> None:
    ResNetWriter(state, merged=True, dtype=np.float16).write(source)
    result = import_weights(source, tmp_path / "weights", RESNET18, others=Origin())
    assert result.logit_difference is not None
    assert result.logit_difference < TOLERANCE / 10


def refused(source: Path, reason: str) -> None:
    weights = source.parent / "refused"
    with pytest.raises(WeightsRefused, match=reason) as error:
        import_weights(source, weights, RESNET18, others=Origin())
    assert "\n" not in str(error.value)
    assert not list(weights.glob("*"))
    assert not imported(weights)


def test_another_graph_of_the_same_layers_is_refused_by_its_logits(state: State, source: Path) -> None:
    ResNetWriter(state, merged=False).write(source)
    data, pads = source.read_bytes(), field(8, 3) * 4
    # The padding of the first convolution, which is changed so that it reads two pixels further left.
    assert data.count(pads) == 1
    source.write_bytes(data.replace(pads, (field(8, 1) + field(8, 5)) * 2))
    refused(
        source, r"resnet18_\w{8} is refused: its logits differ from the source's by \de[+-]0\d of the largest"
    )


def test_weights_that_are_not_finite_are_refused(state: State, source: Path) -> None:
    damaged = dict(state) | {"fc.bias": torch.full((1000,), torch.nan)}
    ResNetWriter(damaged, merged=False).write(source)
    refused(source, "The source's logits are not finite numbers")


def linear(path: Path, classes: int, claimed: int | None = None) -> Path:
    """Write a model of one matrix, whose tensor may declare another number of rows than it has."""
    weight = tensor("w", np.zeros((classes, 3), np.float32))
    if claimed is not None:
        weight = weight.replace(field(1, classes), field(1, claimed), 1)
    nodes = [
        node("GlobalAveragePool", ["photo"], "a"),
        node("Flatten", ["a"], "b", axis=1),
        node("Gemm", ["b", "w"], "logits", transB=1),
    ]
    graph = b"".join(field(1, each) for each in nodes) + field(2, "network") + field(5, weight)
    graph += field(11, value_info("photo", 1, 3, 224, 224)) + field(12, value_info("logits", 1, classes))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 17)))
    return path


def test_other_architectures_and_other_classes_are_refused(source: Path) -> None:
    refused(
        linear(source, 1000),
        r"exported\.onnx does not hold .* of resnet18: .* ConvNeXt and ViT are read from \.pth",
    )
    refused(
        linear(source, 10),
        r"exported\.onnx has another number of classes \(10\); .* with the 1000 classes",
    )


def test_damaged_files_are_refused_without_messages_of_other_readers(
    state: State, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ResNetWriter(state, merged=True).write(source)
    data = source.read_bytes()
    for broken in (data[: len(data) // 2], data[:200], b"\x08\x08", b"\x08 text\n"):
        source.write_bytes(broken)
        refused(source, r"exported\.onnx is damaged, is not an ONNX model, or lacks the external file")
    refused(linear(source, 1000, claimed=2**29), "is damaged")  # 6 GB, of which 12 kB exist
    source.write_text("a text")
    refused(source, "has an unsupported format")
    assert capfd.readouterr().err == ""


def test_a_manifest_that_cannot_be_read_hides_its_model(tmp_path: Path) -> None:
    (tmp_path / "resnet18_0123abcd.json").write_text("{}")
    assert imported(tmp_path) == {}
    with pytest.raises(UnknownModel, match="resnet18_0123abcd"):
        resolve("resnet18_0123abcd", tmp_path)
