"""The heat map covers the subject, and its numbers are those of Grad-CAM."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from torch.nn import functional

from checker.decision.head import Head
from checker.decision.subject import Subject, load_subject
from checker.errors import ModelRefused, UnreadableImage
from checker.explain import explain, heat_map, overlay
from checker.pixels.crop import crop_box
from checker.pixels.decode import decode
from checker.values import Floats
from models.build import architecture, build
from models.catalogue import Entry, load_catalogue, resolve

CAT = load_subject("house_cat")
CHELSEA, COFFEE, TISSUE = (
    Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
    for name in ("chelsea.png", "coffee.png", "ihc.png")
)
ESPRESSO = Subject("espresso", (967,))


@pytest.fixture(scope="module")
def lite0() -> tuple[Entry, Path]:
    return resolve("efficientnet_lite0", Path("models/weights"))


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> tuple[Entry, Path]:
    return _random(load_catalogue()["resnet18"], tmp_path_factory.mktemp("weights") / "r.pth", seed=3)


def _random(entry: Entry, path: Path, seed: int) -> tuple[Entry, Path]:
    torch.manual_seed(seed)
    state = architecture(entry.architecture).state_dict()
    state[list(state)[-2]] *= 100  # random linear layers hardly tell the classes apart
    torch.save(state, path)
    return dataclasses.replace(entry, sha256=hashlib.sha256(path.read_bytes()).hexdigest()), path


def _encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _cat_and_coffee(cat_left: bool = True) -> bytes:
    """Draw both side by side on a gray square, nearly all of it inside the model's crop."""
    cat = CHELSEA.crop((70, 0, 370, 300))
    coffee = COFFEE.crop((120, 0, 520, 400)).resize((300, 300))
    square = Image.new("RGB", (600, 600), "gray")
    square.paste(cat, (0 if cat_left else 300, 150))
    square.paste(coffee, (300 if cat_left else 0, 150))
    return _encoded(square)


def _left_share(heat: Floats) -> float:
    return float(heat[:, : heat.shape[1] // 2].sum() / heat.sum())


@pytest.mark.parametrize("cat_left", [True, False])
def test_heat_of_each_subject_is_on_its_own_half(lite0: tuple[Entry, Path], cat_left: bool) -> None:
    entry, path = lite0
    pixels = decode(_cat_and_coffee(cat_left), entry.preprocessing)
    on_left = {subject: _left_share(heat_map(entry, path, pixels, subject)) for subject in (CAT, ESPRESSO)}
    if not cat_left:
        on_left = {subject: 1 - share for subject, share in on_left.items()}
    assert on_left[CAT] > 0.85
    assert on_left[ESPRESSO] < 0.15


def test_heat_is_within_0_and_1_and_low_without_a_cat(lite0: tuple[Entry, Path]) -> None:
    entry, path = lite0
    maps = {}
    for name, picture in (("chelsea", CHELSEA), ("coffee", COFFEE), ("tissue", TISSUE)):
        maps[name] = heat_map(entry, path, decode(_encoded(picture), entry.preprocessing), CAT)
        assert maps[name].dtype == np.float32
        assert maps[name].shape == (224, 224)
        assert maps[name].min() >= 0
    assert maps["chelsea"].max() == pytest.approx(1)
    assert maps["coffee"].max() < 0.4
    assert 0 < maps["tissue"].max() < 0.4, "not scaled to its own maximum"


def test_heat_map_equals_grad_cam(resnet18: tuple[Entry, Path]) -> None:
    """Compare with the published method: gradients of the whole model, averaged over its last map."""
    entry, path = resnet18
    model = build(entry, path)
    rows: torch.Tensor = model.get_submodule("fc").weight  # type: ignore[assignment]
    subject = Subject("any", tuple(int(i) for i in rows.sum(1).topk(300).indices))
    pixels = decode(_encoded(CHELSEA), entry.preprocessing)
    outputs: list[torch.Tensor] = []
    model.get_submodule("layer4").register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output)
    )
    scale, mean, std = entry.preprocessing.scale, entry.preprocessing.mean, entry.preprocessing.std
    x = (torch.from_numpy(pixels).float() / scale - torch.tensor(mean)) / torch.tensor(std)
    _, logits = model(x.permute(2, 0, 1)[None].requires_grad_())
    mass = logits.softmax(-1)[0, list(subject.classes)].double().sum()
    (gradient,) = torch.autograd.grad((mass / (1 - mass)).log(), outputs[0])
    heat = torch.einsum("nc,nchw->nhw", gradient.sum((2, 3)), outputs[0].detach()).relu()
    expected = functional.interpolate(heat[None], (224, 224), mode="bicubic").relu()[0, 0].numpy()

    heat_of_checker = heat_map(entry, path, pixels, subject)
    assert heat_of_checker.std() > 0.01
    np.testing.assert_allclose(heat_of_checker, expected / max(float(expected.max()), 4.0), atol=1e-3)


def test_other_weights_give_another_heat_map(lite0: tuple[Entry, Path], tmp_path: Path) -> None:
    entry, path = lite0
    pixels = decode(_cat_and_coffee(), entry.preprocessing)
    trained = heat_map(entry, path, pixels, CAT)
    untrained = heat_map(*_random(entry, tmp_path / "w.pth", seed=1), pixels, CAT)
    assert np.abs(trained - untrained).mean() > 0.02


def test_head_of_the_profile_weights_the_heat(lite0: tuple[Entry, Path]) -> None:
    entry, path = lite0
    pixels = decode(_cat_and_coffee(), entry.preprocessing)
    plain = heat_map(entry, path, pixels, CAT)
    same = heat_map(entry, path, pixels, CAT, Head())
    espresso_row = build(entry, path).get_submodule("_fc").weight[967]  # type: ignore[index]
    towards_coffee = Head(mass=(0.0, 0.0), features=espresso_row.double().numpy())
    moved = heat_map(entry, path, pixels, CAT, towards_coffee)
    assert np.array_equal(plain, same)
    assert _left_share(plain) > 0.85
    assert _left_share(moved) < 0.3


def test_overlay_covers_the_crop_and_dims_the_rest(lite0: tuple[Entry, Path]) -> None:
    """In a wide photo: dimmed outside of the crop, heat at its place inside."""
    entry, _ = lite0
    photo = Image.new("RGB", (800, 400), (200, 200, 200))
    heat = np.zeros((224, 224), dtype=np.float32)
    heat[:112, :112] = 1
    shown = np.asarray(overlay(photo, heat, entry.preprocessing)).astype(int)
    left, top, right, bottom = (round(edge) for edge in crop_box(800, 400, entry.preprocessing))
    assert (left, top, right, bottom) == (225, 25, 575, 375)
    assert (shown[:, : left - 2] == 80).all()
    assert (shown[:, right + 2 :] == 80).all()
    assert (shown[210:360, 250:560] == 200).all(), "cold places keep the photo"
    assert shown[100, 300, 2] < 170 < shown[100, 300, 0], "the hottest colour is yellow"


def test_explain_returns_a_png_of_the_upright_photo(lite0: tuple[Entry, Path]) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    CHELSEA.rotate(90, expand=True).save(out, "JPEG", quality=95, exif=exif)
    png = explain(*lite0, out.getvalue(), CAT)
    with Image.open(io.BytesIO(png)) as shown:
        assert (shown.format, shown.size) == ("PNG", (451, 300))
        pixels = np.asarray(shown).astype(int)
    corner = np.asarray(CHELSEA)[5:20, 5:20].astype(int)
    assert np.abs(pixels[5:20, 5:20] - corner * 0.4).mean() < 4
    seen = np.asarray(CHELSEA)[285:295, 80:370].astype(int)  # the lower edge, which only the thumbnail shows
    assert pixels[285:295, 80:370].mean() > 0.7 * seen.mean()


def test_unreadable_photo_and_wrong_weights_are_refused(lite0: tuple[Entry, Path], tmp_path: Path) -> None:
    entry, path = lite0
    with pytest.raises(UnreadableImage):
        explain(entry, path, b"no picture", CAT)
    wrong = tmp_path / "weights.pth"
    wrong.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelRefused):
        explain(entry, wrong, _cat_and_coffee(), CAT)
