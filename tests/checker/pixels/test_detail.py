"""Soft photos are distinguished from sharp ones by their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from checker.pixels.crop import whole_square
from checker.pixels.decode import decode_squares
from checker.pixels.detail import is_soft, percentile
from checker.pixels.renditions import site_renditions
from checker.values import Pixels, Rendition
from models.catalogue import entry_named
from tests.checker.pixels.test_decode import encoded
from tests.support.photo_sets import OWN_PHOTOS

PHOTOS = sorted(OWN_PHOTOS.folder.glob("*/*.jpg"))
PREPROCESSING = entry_named("efficientnet_lite0").preprocessing


def square(image: Image.Image) -> Pixels:
    thumbnail = site_renditions(encoded(image, quality=92))[Rendition.THUMBNAIL]
    return np.asarray(decode_squares(thumbnail, PREPROCESSING, whole_square)[0])


def share_soft(images: list[Image.Image]) -> float:
    return float(np.mean([is_soft(square(image)) for image in images]))


def photos() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in PHOTOS]


def test_ordinary_photos_are_not_soft() -> None:
    assert len(PHOTOS) >= 30
    assert share_soft(photos()) <= 0.1


def blurred(photo: Image.Image) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(max(photo.size) / 60))


def tiny(photo: Image.Image) -> Image.Image:
    photo.thumbnail((48, 48))
    return photo


def enlarged(photo: Image.Image) -> Image.Image:
    return tiny(photo).resize((640, 480), Image.Resampling.BICUBIC)


def dark(photo: Image.Image) -> Image.Image:
    return photo.point(lambda value: value // 8)


@pytest.mark.parametrize("worse", [blurred, tiny, enlarged, dark])
def test_blurred_tiny_enlarged_and_dark_photos_are_soft(worse: object) -> None:
    assert callable(worse)
    assert share_soft([worse(photo) for photo in photos()]) >= 0.95


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_photo_of_one_colour_is_soft(value: int) -> None:
    assert is_soft(np.full((224, 224, 3), value, np.uint8))


@pytest.mark.parametrize("percent", [0, 50, 98, 99, 100])
@pytest.mark.parametrize("shape", [(1,), (7, 9), (224, 224)])
def test_percentiles_are_those_of_numpy(shape: tuple[int, ...], percent: float) -> None:
    values = np.random.default_rng(8).integers(0, 6000, shape, dtype=np.int16)
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent), rel=1e-12)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_light_in_any_channel_counts(channel: int) -> None:
    noise = np.random.default_rng(8).integers(0, 2, (224, 224), dtype=np.uint8)
    bright, dark = (np.zeros((224, 224, 3), dtype=np.uint8) for _ in range(2))
    bright[..., channel], dark[..., channel] = 255 * noise, 230 * noise
    assert (is_soft(bright), is_soft(dark)) == (False, True)
