"""Soft photos and drawings are distinguished from ordinary photos by their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter, ImageOps

from checker.pixels.decode import decode_squares
from checker.pixels.detail import detail_of, percentile
from checker.pixels.frame import whole_square
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
    return float(np.mean([detail_of(square(image)).soft for image in images]))


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


def lines(photo: Image.Image) -> Image.Image:
    return photo.filter(ImageFilter.FIND_EDGES)


def coloured_lines(photo: Image.Image) -> Image.Image:
    """Lines on paper that is tinted, so that they are not judged as drawings without colour."""
    return ImageChops.add(lines(photo), Image.new("RGB", photo.size, (40, 0, 0)))


def pencil(photo: Image.Image) -> Image.Image:
    grey = ImageOps.grayscale(photo)
    blurred = np.asarray(grey.filter(ImageFilter.GaussianBlur(max(photo.size) / 60)), dtype=float)
    shares = np.clip(255 * (np.asarray(grey) / np.maximum(blurred, 1)), 0, 255)
    return Image.fromarray(shares.astype(np.uint8)).convert("RGB")


def ink(photo: Image.Image) -> Image.Image:
    return ImageOps.invert(ImageOps.grayscale(photo).filter(ImageFilter.FIND_EDGES)).convert("RGB")


def relief(photo: Image.Image) -> Image.Image:
    return photo.filter(ImageFilter.EMBOSS)


def dots(photo: Image.Image) -> Image.Image:
    return photo.convert("1").convert("RGB")


def hatching(photo: Image.Image) -> Image.Image:
    grey = np.asarray(ImageOps.grayscale(photo))
    y, x = np.indices(grey.shape)
    stroke = ((x + y) % 6 < 2) & (grey < 150) | ((x - y) % 6 < 2) & (grey < 80)
    return Image.fromarray(np.where(stroke, 0, 255).astype(np.uint8)).convert("RGB")


def share_drawn(images: list[Image.Image]) -> float:
    return float(np.mean([detail_of(square(image)).drawn for image in images]))


def test_photos_are_not_drawings_with_or_without_colour() -> None:
    assert share_drawn(photos()) <= 0.03
    assert share_drawn([ImageOps.grayscale(photo).convert("RGB") for photo in photos()]) <= 0.1


@pytest.mark.parametrize(
    ("drawing", "least"),
    [
        (lines, 0.9),
        (coloured_lines, 0.9),
        (ink, 0.9),
        (relief, 0.9),
        (dots, 0.9),
        (hatching, 0.9),
        (pencil, 0.75),
    ],
)
def test_drawings_are_distinguished_from_photos(drawing: object, least: float) -> None:
    assert callable(drawing)
    assert share_drawn([drawing(photo) for photo in photos()]) >= least


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_photo_of_one_colour_is_not_a_drawing(value: int) -> None:
    assert not detail_of(np.full((224, 224, 3), value, np.uint8)).drawn


@pytest.mark.parametrize("side", [224, 240, 260, 300])
def test_inputs_of_any_size_are_measured(side: int) -> None:
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[::2] = 255
    assert detail_of(stripes).drawn


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_photo_of_one_colour_is_soft(value: int) -> None:
    assert detail_of(np.full((224, 224, 3), value, np.uint8)).soft


@pytest.mark.parametrize("percent", [0, 50, 98, 99, 100])
@pytest.mark.parametrize("shape", [(1,), (7, 9), (224, 224)])
def test_percentiles_are_those_of_numpy(shape: tuple[int, ...], percent: float) -> None:
    values = np.random.default_rng(8).integers(0, 6000, shape, dtype=np.int16)
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent), rel=1e-12)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_light_in_any_channel_is_measured(channel: int) -> None:
    noise = np.random.default_rng(8).integers(0, 2, (224, 224), dtype=np.uint8)
    bright, dark = (np.zeros((224, 224, 3), dtype=np.uint8) for _ in range(2))
    bright[..., channel], dark[..., channel] = 255 * noise, 230 * noise
    assert (detail_of(bright).soft, detail_of(dark).soft) == (False, True)
