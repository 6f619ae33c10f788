"""The heat map covers the subject, and its values equal those of Grad-CAM."""

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

from checker.decision.head import Head, Linear
from checker.decision.subject import Subject, load_subject
from checker.errors import ModelRefused, UnreadableImage
from checker.explain import explain, explanation, heat_maps, overlay
from checker.pixels.decode import decode
from checker.pixels.explained_photo import explained_photo
from checker.values import Floats, Pixels
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
    state[list(state)[-2]] *= 100  # random linear layers hardly distinguish the classes
    torch.save(state, path)
    return dataclasses.replace(entry, sha256=hashlib.sha256(path.read_bytes()).hexdigest()), path


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _cat_and_coffee(cat_left: bool = True) -> bytes:
    """Draw both next to each other on a grey square, nearly all of it inside the model's crop."""
    cat = CHELSEA.crop((70, 0, 370, 300))
    coffee = COFFEE.crop((120, 0, 520, 400)).resize((300, 300))
    square = Image.new("RGB", (600, 600), "gray")
    square.paste(cat, (0 if cat_left else 300, 150))
    square.paste(coffee, (300 if cat_left else 0, 150))
    return _encoded(square)


def heat_map(
    entry: Entry, path: Path, square: Pixels, subject: Subject = CAT, head: Head | None = None
) -> Floats:
    """Return the heat map of one model input."""
    return np.asarray(heat_maps(entry, path, square[np.newaxis], subject, head)[0])


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
    for name, image in (("chelsea", CHELSEA), ("coffee", COFFEE), ("tissue", TISSUE)):
        maps[name] = heat_map(entry, path, decode(_encoded(image), entry.preprocessing))
        assert maps[name].dtype == np.float32
        assert maps[name].shape == (224, 224)
        assert maps[name].min() >= 0
    assert maps["chelsea"].max() == pytest.approx(1)
    assert maps["coffee"].max() < 0.4
    assert 0 < maps["tissue"].max() < 0.4, "not scaled to its own maximum"


def test_heat_map_equals_grad_cam(resnet18: tuple[Entry, Path]) -> None:
    """Compare with the published method: gradients of the whole model, averaged over its last feature map."""
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
    mass = logits[0, 0].softmax(-1)[list(subject.classes)].double().sum()
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
    towards_coffee = Head(window=Linear(mass=0.0, features=espresso_row.double().numpy()))
    moved = heat_map(entry, path, pixels, CAT, towards_coffee)
    assert np.array_equal(plain, same)
    assert _left_share(plain) > 0.85
    assert _left_share(moved) < 0.3


def test_overlay_covers_the_whole_photo_and_leaves_cold_areas_unchanged() -> None:
    photo = Image.new("RGB", (800, 400), (200, 200, 200))
    heat = np.zeros((224, 448), dtype=np.float32)
    heat[:112, :112] = 1
    shown = np.asarray(overlay(photo, heat)).astype(int)
    assert (shown[:, 240:] == 200).all(), "cold places keep the photo"
    assert (shown[240:] == 200).all()
    assert shown[100, 100, 2] < 170 < shown[100, 100, 0], "the hottest colour is yellow"


@pytest.mark.parametrize("cat_left", [True, False])
def test_heat_finds_a_cat_at_the_end_of_a_wide_photo(lite0: tuple[Entry, Path], cat_left: bool) -> None:
    wide = Image.new("RGB", (900, 300), "gray")
    wide.paste(CHELSEA.crop((70, 0, 370, 300)), (0 if cat_left else 600, 0))
    shown = explanation(*lite0, explained_photo(_encoded(wide), lite0[0].preprocessing), CAT)
    assert shown.size == (900, 300)
    changed = np.abs(np.asarray(shown).astype(int) - np.asarray(wide)).sum(axis=2)
    thirds = [changed[:, left : left + 300].mean() for left in (0, 300, 600)]
    assert np.argmax(thirds) == (0 if cat_left else 2)
    assert max(thirds) > 4 * thirds[1]


@pytest.mark.parametrize("turned_deg", [90, 180, 270])
def test_heat_of_a_turned_photo_is_that_of_the_upright_photo_on_the_photo_as_it_lies(
    lite0: tuple[Entry, Path], turned_deg: int
) -> None:
    """Without the rotation of the squares, or of their heat, the correlation is at most 0.9."""

    def heat(photo: Image.Image, turned_deg: int = 0) -> Floats:
        shown = Image.open(io.BytesIO(explain(*lite0, _encoded(photo), CAT, turned_deg=turned_deg)))
        assert shown.size == photo.size
        changes = np.abs(np.asarray(shown).astype(np.float32) - np.asarray(photo))
        return np.asarray(changes.sum(axis=2))

    lies = CHELSEA.rotate(turned_deg, expand=True)  # counter-clockwise
    expected = np.rot90(heat(CHELSEA), turned_deg // 90)
    assert np.corrcoef(heat(lies, turned_deg).ravel(), expected.ravel())[0, 1] > 0.98


def test_explain_returns_a_png_of_the_upright_photo(lite0: tuple[Entry, Path]) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    CHELSEA.rotate(90, expand=True).save(out, "JPEG", quality=95, exif=exif)
    png = explain(*lite0, out.getvalue(), CAT)
    with Image.open(io.BytesIO(png)) as shown:
        assert (shown.format, shown.size) == ("PNG", (451, 300))
        pixels = np.asarray(shown).astype(int)
    cold = np.asarray(CHELSEA)[5:20, 5:20].astype(int)
    assert np.abs(pixels[5:20, 5:20] - cold).mean() < 12


def test_unreadable_photo_and_wrong_weights_are_refused(lite0: tuple[Entry, Path], tmp_path: Path) -> None:
    entry, path = lite0
    with pytest.raises(UnreadableImage):
        explain(entry, path, b"no photo", CAT)
    wrong = tmp_path / "weights.pth"
    wrong.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelRefused):
        explain(entry, wrong, _cat_and_coffee(), CAT)
