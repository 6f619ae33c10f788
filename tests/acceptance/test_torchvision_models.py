"""Each model that torchvision builds, compared with torchvision from the bytes of a photo to its logits."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.explain import heat_maps
from checker.pixels import simd_jpeg
from checker.pixels.decode import decode
from checker.runtimes.selection.load import load_classifier
from models.architectures.torchvision_models import CONVOLUTIONAL, TRANSFORMERS
from models.build import architecture, architecture_without_values, build
from models.catalogue import Entry, entry_named
from tests.support.photo_sets import OWN_PHOTOS

PHOTOS = [OWN_PHOTOS.folder / name for name in ("cat/chelsea.jpg", "not_cat/koala.jpg")]
Saved = Callable[[str], tuple[Entry, Path, torch.nn.Module]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A function that returns an entry with random weights, their file, and their torchvision model."""
    models: dict[str, tuple[Entry, Path, torch.nn.Module]] = {}

    def make(name: str) -> tuple[Entry, Path, torch.nn.Module]:
        if name not in models:
            entry = entry_named(name)
            path = tmp_path_factory.mktemp(name) / entry.file
            reference = random_model(entry)
            torch.save(reference.state_dict(), path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            models[name] = replace(entry, sha256=sha256), path, reference
        return models[name]

    return make


def transformed(entry: Entry) -> torch.Tensor:
    """Preprocess the photos with the transforms that belong to torchvision's weights."""
    import torchvision.models as tv

    transforms = tv.get_model_weights(entry.architecture)["IMAGENET1K_V1"].transforms(antialias=True)
    return torch.stack([transforms(Image.open(io.BytesIO(p.read_bytes())).convert("RGB")) for p in PHOTOS])


def random_model(entry: Entry) -> torch.nn.Module:
    """Build a model whose outputs differ between photos; those of a fresh one hardly do."""
    import torchvision.models as tv

    torch.manual_seed(3)
    model: torch.nn.Module = tv.get_model(entry.architecture, weights=None)
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            torch.nn.init.constant_(parameter, 0.5)  # with the initial 1e-6, blocks have hardly any effect
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # use the plain mean over all batches, here over one batch
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0
    linear = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    torch.nn.init.normal_(linear.weight)
    with torch.no_grad():
        model.train()(transformed(entry))
    return model.eval()


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *TRANSFORMERS])
def test_logits_equal_torchvisions_within_a_ten_thousandth(
    name: str, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, path, reference = saved(name)
    with torch.inference_mode():
        expected = reference(transformed(entry)).numpy()
    monkeypatch.setattr(simd_jpeg, "IS_INSTALLED", False)  # Pillow's pixels equal torchvision's
    classifier = load_classifier(entry, path, device="cpu", runtime="torch", precision="fp32")
    outputs = classifier.run(np.stack([decode(photo.read_bytes(), entry.preprocessing) for photo in PHOTOS]))

    largest = np.abs(expected).max()
    # The logits must differ between photos, or the tolerance would mean nothing.
    assert np.ptp(expected, axis=0).max() > 0.1 * largest
    assert np.abs(outputs.logits[:, 0] - expected).max() < 1e-4 * largest


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_features_are_the_mean_of_the_map_and_give_the_logits(name: str, saved: Saved) -> None:
    entry, path, reference = saved(name)
    model, inputs = build(entry, path), transformed(entry)
    pooled: list[torch.Tensor] = []
    reference.get_submodule("avgpool").register_forward_hook(lambda _m, _i, output: pooled.append(output))
    with torch.inference_mode():
        features = model(inputs)[0][:, 0]
        logits = model.classify(features)  # type: ignore[operator]
        assert torch.equal(reference(inputs), logits)
        feature_map = model.feature_map(inputs)  # type: ignore[operator]
        again = model.classify(feature_map.mean((2, 3)))  # type: ignore[operator]
    assert torch.equal(features, pooled[0].flatten(1))
    assert feature_map.ndim == 4
    torch.testing.assert_close(again, logits, rtol=1e-3, atol=1e-4 * float(logits.abs().max()))


def test_features_of_a_transformer_give_its_logits(saved: Saved) -> None:
    entry, path, reference = saved("vit_b_16")
    inputs = transformed(entry)
    with torch.inference_mode():
        features, logits = (windows[:, 0] for windows in build(entry, path)(inputs))
        assert features.shape == (len(PHOTOS), 768)
        assert torch.equal(reference.get_submodule("heads")(features), logits)
        torch.testing.assert_close(logits, reference(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_can_be_exported_for_any_batch_size(name: str) -> None:
    """OpenVINO variants are made from such an export, for which only transformers need special code."""
    any_batch = ({0: torch.export.Dim("inputs", min=1, max=64)},)
    exported = torch.export.export(
        architecture(name).eval(), (torch.zeros(2, 3, 224, 224),), dynamic_shapes=any_batch
    )
    assert exported.module()(torch.zeros(3, 3, 224, 224))[1].shape == (3, 1, 1000)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_verdict_is_explained_by_gradients_on_the_map(name: str, saved: Saved) -> None:
    """Compare with the published method: gradients of the whole model, summed over its last feature map."""
    entry, path, _ = saved(name)
    model, pixels = build(entry, path), decode(PHOTOS[0].read_bytes(), entry.preprocessing)
    inputs = (torch.from_numpy(pixels) / 255 - torch.tensor(entry.preprocessing.mean)) / torch.tensor(
        entry.preprocessing.std
    )
    feature_map = model.feature_map(inputs.permute(2, 0, 1)[None].float()).requires_grad_()  # type: ignore[operator]
    logits = model.classify(feature_map.mean((2, 3)))[0]  # type: ignore[operator]
    # The best class is left out, because its share may round to 1.
    subject = Subject("any", tuple(int(i) for i in logits.topk(301).indices[1::3]))
    mass = logits.double().softmax(-1)[list(subject.classes)].sum()
    (gradient,) = torch.autograd.grad((mass / (1 - mass)).log(), feature_map)
    heat = (gradient.sum((2, 3), keepdim=True) * feature_map.detach()).sum(1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(heat, pixels.shape[:2], mode="bicubic")[0, 0].relu().numpy()

    heat_map = heat_maps(entry, path, pixels[np.newaxis], subject)[0]
    assert heat_map.std() > 0.01
    np.testing.assert_allclose(heat_map, expected / max(float(expected.max()), 4.0), atol=1e-3)


def test_a_transformer_has_no_explanation_and_says_so(saved: Saved) -> None:
    entry, path, _ = saved("vit_b_16")
    pixels = decode(PHOTOS[0].read_bytes(), entry.preprocessing)
    with pytest.raises(ModelRefused, match="vit_b_16 has no feature map, so its verdicts can't be explained"):
        heat_maps(entry, path, pixels[np.newaxis], Subject("any", (281,)))


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *TRANSFORMERS])
def test_parameters_have_torchvisions_names(name: str, saved: Saved) -> None:
    _, _, reference = saved(name)
    assert architecture_without_values(name).state_dict().keys() == reference.state_dict().keys()
