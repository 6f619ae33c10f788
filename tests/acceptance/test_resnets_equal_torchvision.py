"""Each ResNet of the catalogue, compared with torchvision's code from the bytes of a photo to its logits."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from checker.pixels import simd_jpeg
from checker.pixels.decode import decode
from checker.runtimes.selection.load import load_classifier
from models.catalogue import Entry, load_catalogue

RESNETS = [entry for entry in load_catalogue().values() if entry.source.startswith("torchvision ResNet")]


def photos() -> list[bytes]:
    """Return a landscape and a portrait JPEG, both too small for decoding at a reduced scale."""
    encoded = []
    for name, turn in (("chelsea", 0), ("coffee", 90)):
        buffer = io.BytesIO()
        image = Image.fromarray(getattr(skimage.data, name)()).rotate(turn, expand=True)
        image.save(buffer, "JPEG", quality=92)
        encoded.append(buffer.getvalue())
    return encoded


def settle(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Set the batch norms of a random model, whose logits would otherwise be as large as 1e8."""
    for name, layer in network.named_modules():
        if name.endswith("bn3") or (name.endswith("bn2") and not hasattr(network, name[:-1] + "3")):
            torch.nn.init.constant_(layer.weight, 0.2)
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # use the plain mean over all batches, here over one batch
    with torch.no_grad():
        network.train()(images)
    network.eval()


def transformed(entry: Entry) -> torch.Tensor:
    """Return the photos as torchvision's own transforms for these weights give them."""
    import torchvision.models as tv

    weights = tv.get_model_weights(entry.architecture)[
        "IMAGENET1K_V2" if entry.name.endswith("_v2") else "IMAGENET1K_V1"
    ]
    transforms = weights.transforms(antialias=True)
    return torch.stack([transforms(Image.open(io.BytesIO(data)).convert("RGB")) for data in photos()])


@pytest.mark.parametrize("architecture", sorted({entry.architecture for entry in RESNETS}))
def test_logits_equal_torchvisions_within_a_ten_thousandth(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for Pillow's pixels. The SIMD decoder changes some pixels by 1, and logits slightly.

    Entries of one architecture differ in their preprocessing, so they share one random model.
    """
    import torchvision.models as tv

    entries = [entry for entry in RESNETS if entry.architecture == architecture]
    torch.manual_seed(3)
    reference = tv.get_model(architecture)
    settle(reference, transformed(entries[0]))
    path = tmp_path / "weights.pth"
    torch.save(reference.state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for entry in entries:
        classifier = load_classifier(
            replace(entry, sha256=sha256), path, device="cpu", runtime="torch", precision="fp32"
        )
        with torch.inference_mode():
            expected = reference(transformed(entry)).numpy()
        pixels = [decode(data, entry.preprocessing) for data in photos()]
        with monkeypatch.context() as patch:
            patch.setattr(simd_jpeg, "IS_INSTALLED", False)
            pixels += [decode(data, entry.preprocessing) for data in photos()]
        by_simd, by_pillow = np.split(classifier.run(np.stack(pixels)).logits[:, 0], 2)

        # The logits must differ between photos, or the tolerances would mean nothing.
        assert np.ptp(expected, axis=0).max() > 0.5, entry.name
        np.testing.assert_allclose(by_pillow, expected, atol=1e-4, rtol=0, err_msg=entry.name)
        np.testing.assert_allclose(by_simd, expected, atol=1e-2, rtol=0, err_msg=entry.name)
