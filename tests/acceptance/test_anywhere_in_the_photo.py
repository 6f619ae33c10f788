"""A cat anywhere in the frame is found; a soft photo or a drawing without a cat is not called one."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image, ImageFilter, ImageOps

from catloader.settings import Settings
from catloader.wiring import load_model
from checker.evaluation.photos import CAT, NOT_CAT
from checker.pipeline import LoadedModel, check_batch
from checker.pixels.renditions import site_renditions
from checker.testing import InMemoryImageSource
from checker.values import Claim, Verdict
from scripts.accuracy.variations.drawings import drawings
from tests.support.photo_sets import PhotoSet

MOST = 40
"""Maximum number of photos of each label."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(
        Settings(model="efficientnet_lite0", device="cpu", data_dir=tmp_path_factory.mktemp("data"))
    )


def spread(photo_set: PhotoSet, label: str) -> list[Image.Image]:
    files = photo_set.files(label)
    return [Image.open(path).convert("RGB") for path in files[:: max(1, len(files) // MOST)][:MOST]]


@pytest.fixture(scope="module")
def cats(photo_set: PhotoSet) -> list[Image.Image]:
    return spread(photo_set, CAT)


@pytest.fixture(scope="module")
def others(photo_set: PhotoSet) -> list[Image.Image]:
    return spread(photo_set, NOT_CAT)


def verdicts(model: LoadedModel, images: list[Image.Image]) -> Counter[Verdict]:
    source = InMemoryImageSource()
    claims = [Claim(number, "token", str(number), str(number), 1) for number in range(len(images))]
    for claim, image in zip(claims, images, strict=True):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=92)
        source.put(claim, site_renditions(file.getvalue(), fast=False))
    counts: Counter[Verdict] = Counter()
    for start in range(0, len(claims), 4):
        for outcome in check_batch(claims[start : start + 4], source, model.classifier, model.rule):
            assert outcome.decision is not None, outcome.error
            counts[outcome.decision.verdict] += 1
    return counts


Placed = Callable[[Image.Image, Image.Image], Image.Image]
"""(cat, background) -> image."""


def _at(size: tuple[int, int], side: int, place: tuple[int, int]) -> Placed:
    def paste(cat: Image.Image, background: Image.Image) -> Image.Image:
        ground = ImageOps.fit(background, size)
        ground.paste(ImageOps.fit(cat, (side, side)), place)
        return ground

    return paste


def _a_quarter_of_a_collage(cat: Image.Image, background: Image.Image) -> Image.Image:
    parts = [background, ImageOps.mirror(background), cat, ImageOps.flip(background)]
    ground = Image.new("RGB", (1200, 900))
    for number, part in enumerate(parts):
        ground.paste(ImageOps.fit(part, (600, 450)), (600 * (number % 2), 450 * (number // 2)))
    return ground


@pytest.mark.parametrize(
    "placed",
    [
        pytest.param(_at((1280, 720), 560, (0, 80)), id="left of 16:9"),
        pytest.param(_at((720, 1280), 560, (160, 720)), id="bottom of 9:16"),
        pytest.param(_at((1440, 480), 480, (960, 0)), id="right of 3:1"),
        pytest.param(_at((2560, 320), 320, (1900, 0)), id="right of 8:1"),
        pytest.param(_a_quarter_of_a_collage, id="a quarter of a collage"),
    ],
)
def test_a_cat_off_centre_is_not_ruled_out(
    placed: Placed, model: LoadedModel, cats: list[Image.Image], others: list[Image.Image]
) -> None:
    images = [placed(cat, others[number % len(others)]) for number, cat in enumerate(cats)]
    assert verdicts(model, images)[Verdict.NOT_CAT] <= max(1, 0.1 * len(cats))


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 60))


def _within(side: int) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageOps.contain(image, (side, side))


def _dark(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value // 8)


@pytest.mark.parametrize(
    "worse",
    [
        pytest.param(_blurred, id="out of focus"),
        pytest.param(_within(32), id="32 px"),
        pytest.param(_within(64), id="64 px"),
        pytest.param(_dark, id="dark"),
    ],
)
def test_a_soft_photo_without_a_cat_is_not_called_a_cat(
    worse: Callable[[Image.Image], Image.Image], model: LoadedModel, others: list[Image.Image]
) -> None:
    assert verdicts(model, [worse(image) for image in others])[Verdict.CAT] <= 1


def test_drawings_without_a_cat_are_not_called_cats(model: LoadedModel, others: list[Image.Image]) -> None:
    drawn = [
        technique.change(image, 0, lambda: others[0])
        for number, image in enumerate(others)
        for technique in drawings()[number % 2 :: 2]
    ]
    assert verdicts(model, drawn)[Verdict.CAT] <= max(1, 0.01 * len(drawn))


def test_a_photo_of_one_colour_is_not_called_a_cat(model: LoadedModel) -> None:
    empty = [Image.new("RGB", (640, 480), colour) for colour in ("black", "white", "gray", "red")]
    assert verdicts(model, empty)[Verdict.CAT] == 0
