"""Prepacked convolutions: the same outputs, and the plain model if they can't be packed."""

from __future__ import annotations

import logging

import pytest
import torch

from checker.runtimes.prepack import pack
from models.build import architecture, fold_batch_norms


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "resnet50"])
def test_packing_replaces_every_convolution_and_keeps_the_outputs(name: str) -> None:
    torch.manual_seed(4)
    model = fold_batch_norms(architecture(name).eval()).requires_grad_(False)
    batches = [torch.randn(inputs, 3, 224, 224) for inputs in (1, 2, 5)]
    with torch.inference_mode():
        before = [model(batch)[1] for batch in batches]
        assert pack(model, torch.zeros(2, 3, 224, 224))
        after = [model(batch)[1] for batch in batches]
    assert not any(isinstance(layer, torch.nn.Conv2d) for layer in model.modules())
    for plain, packed in zip(before, after, strict=True):
        assert torch.allclose(plain, packed, atol=1e-4 * float(plain.abs().max()))


def test_a_model_that_cannot_be_packed_is_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    model = fold_batch_norms(architecture("resnet18").eval()).requires_grad_(False)
    layers = list(model.modules())
    double = model.double()  # no kernel packs these
    with caplog.at_level(logging.DEBUG):
        assert not pack(double, torch.zeros(2, 3, 64, 64, dtype=torch.float64))
    assert list(double.modules()) == layers
    assert "the convolutions are not packed" in caplog.text
