"""Weights are loaded only after verification, and no code in them is executed."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from checker.errors import ModelRefused
from checker.runtimes.selection.load import load_classifier
from models.build import architecture, build, fold_batch_norms
from models.catalogue import Entry, entry_named, resolve
from models.errors import WeightsMissing, WeightsRefused


def entry_for(data: bytes, path: Path) -> Entry:
    """Write a file with this content; return its catalogue entry."""
    path.write_bytes(data)
    return replace(
        entry_named("resnet18"), file=path.name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)
    )


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_efficientnet_lite_equals_the_package_it_replaces_bit_for_bit(name: str, tmp_path: Path) -> None:
    entry, path = resolve(name, tmp_path)
    package = EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=str(path)).eval()
    model = build(entry, path)
    side = entry.preprocessing.input_px
    inputs = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features, logits = (windows[:, 0] for windows in model(inputs))
        # Bit-for-bit equality needs a matrix product of the same shape.
        logits = model.classify(features)  # type: ignore[operator]
        assert torch.equal(logits, package(inputs))
        assert torch.equal(features, package.extract_features(inputs).mean((2, 3))) or torch.allclose(
            features, package.extract_features(inputs).mean((2, 3)), atol=1e-6
        )


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "resnet50"])
def test_folding_removes_every_batch_norm_and_keeps_the_outputs(name: str) -> None:
    torch.manual_seed(2)
    model = architecture(name).eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # a new batch norm would change almost nothing
            layer.get_buffer("running_mean").uniform_(-0.1, 0.1)
            layer.get_buffer("running_var").uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.5, 1.0)
            layer.bias.data.uniform_(-0.1, 0.1)
    side = 96
    inputs = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        before = model(inputs)[1]
        after = fold_batch_norms(model)(inputs)[1]
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.modules())
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-4 * before.abs().max().item())


def test_a_truncated_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry, path = resolve("efficientnet_lite0", tmp_path)
    short = tmp_path / "short.pth"
    short.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsRefused, match=r"short\.pth \(18826031 bytes\) is not the efficientnet_lite0"):
        build(entry, short)


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    entry, path = resolve("efficientnet_lite0", tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.pth").write_bytes(data)
    with pytest.raises(WeightsRefused, match="sha256"):
        build(entry, tmp_path / "flipped.pth")


class Evil:
    """Creates a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)

    def __init__(self, marker: str) -> None:
        self.marker = marker


def pickled(content: Any) -> bytes:
    return pickle.dumps(content, protocol=2)


@pytest.mark.parametrize("wrap", [saved, pickled])
def test_code_in_a_pickle_does_not_run_even_if_the_digest_matches(wrap: Any, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    path = tmp_path / "evil.pth"
    entry = entry_for(wrap({"conv1.weight": Evil(str(marker))}), path)
    with pytest.raises(WeightsRefused, match="more than tensors"):
        build(entry, path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fc.weight": torch.zeros(3)}, "does not hold the parameters of resnet18"),
        ([torch.zeros(3)], "no table of parameters"),
    ],
)
def test_tensors_of_another_model_are_refused(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    entry = entry_for(saved(content), path)
    with pytest.raises(WeightsRefused, match=message):
        build(entry, path)


def test_a_missing_file_raises_weights_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"gone\.pth"):
        build(entry_named("resnet18"), tmp_path / "gone.pth")


def test_load_classifier_keeps_the_reason_of_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelRefused, match=r"bad\.pth \(7 bytes\) is not the resnet18 of the catalogue"):
        load_classifier(entry_named("resnet18"), path, runtime="torch", device="cpu")


def test_no_random_values_are_made_for_parameters_that_come_from_a_file(tmp_path: Path) -> None:
    """They would take longer than reading the file."""
    expected = architecture("resnet18").state_dict()
    entry = entry_for(saved(expected), tmp_path / "weights.pth")
    state = torch.random.get_rng_state()
    model = build(entry, tmp_path / "weights.pth")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(values, expected[name]) for name, values in model.state_dict().items())
