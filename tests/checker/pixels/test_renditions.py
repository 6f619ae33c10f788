"""The two JPEGs of a photo: fast ones for a verdict, exact ones for the store."""

from __future__ import annotations

import io

import numpy as np
import pillow_heif
import pytest
import skimage.data
from PIL import Image

from checker.pixels import renditions
from checker.pixels.formats.opening import open_image
from checker.pixels.renditions import Crop, Encoded, cut_thumbnail, rotated_photo
from checker.pixels.sizes import DEFAULT_SIZES, RenditionSizes

COFFEE = Image.fromarray(skimage.data.coffee())  # type: ignore[no-untyped-call]


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    if format == "PNG":
        options["compress_level"] = 1  # by default encoding takes longer than the tests
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def made(data: bytes, sizes: RenditionSizes = DEFAULT_SIZES, *, fast: bool) -> Encoded:
    with open_image(data) as image:
        renditions.draft(image, sizes, fast=fast)
        image.load()
        return renditions.encode(renditions.upright_photo(image, sizes, fast=fast), sizes)


def decoded(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


@pytest.mark.parametrize("size", [(500, 375), (1279, 1279), (2560, 1200), (60, 90)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_fast_gives_the_same_bytes_for_small_photos(size: tuple[int, int], format: str) -> None:
    data = encoded(COFFEE.resize(size), format)
    assert made(data, fast=True) == made(data, fast=False)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_fast_reduces_large_photos_to_twice_the_thumbnail_or_more(format: str) -> None:
    data = encoded(COFFEE.resize((3000, 2000)), format)
    fast, full = made(data, fast=True), made(data, fast=False)
    assert (full.width_px, full.height_px) == (2560, 1707)
    assert 640 <= fast.height_px < 1280
    assert fast.thumbnail_px == full.thumbnail_px == 320
    assert np.abs(decoded(fast.thumbnail) - decoded(full.thumbnail)).mean() < 3


def test_sizes_bound_both_renditions() -> None:
    result = made(encoded(COFFEE.resize((900, 300))), RenditionSizes(450, 100, 70), fast=False)
    assert (result.width_px, result.height_px, result.thumbnail_px) == (450, 150, 100)
    assert result.crop == (150, 0, 150)
    assert decoded(result.photo).shape == (150, 450, 3)
    assert decoded(result.thumbnail).shape == (100, 100, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photo_gives_an_upright_thumbnail(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    halves = Image.new("RGB", (400, 400), "white")
    halves.paste((0, 0, 0), (0, 0, 400, 200))  # dark on top
    stored = {5: halves.rotate(90), 6: halves.rotate(90), 7: halves.rotate(270), 8: halves.rotate(270)}
    stored |= {1: halves, 2: halves, 3: halves.rotate(180), 4: halves.rotate(180)}
    thumbnail = decoded(made(encoded(stored[orientation], exif=exif), fast=False).thumbnail)
    assert thumbnail[20:140].mean() < 20
    assert thumbnail[180:300].mean() > 235


def test_the_preview_in_a_heic_does_not_stand_for_the_photo() -> None:
    """Cameras add previews of 1620 px; what they show may differ from an edited photo."""
    out = io.BytesIO()
    photo = pillow_heif.from_pillow(COFFEE.resize((1600, 1200)))
    photo.save(out, thumbnails=[1000], enc_params={"preset": "ultrafast"})
    with open_image(out.getvalue()) as image:
        renditions.draft(image, DEFAULT_SIZES, fast=True)
        assert image.size == (1600, 1200)


def test_four_rotations_restore_a_photo_and_its_square() -> None:
    first = made(encoded(COFFEE, quality=95), fast=False)
    square = Crop(30, 10, 200)
    thumbnail, _ = cut_thumbnail(first.photo, square, DEFAULT_SIZES)
    rotated, crop = first.photo, square
    for quarters in range(1, 5):
        result = rotated_photo(rotated, 1, crop, DEFAULT_SIZES)
        rotated, crop = result.photo, result.crop
        size = COFFEE.size if quarters % 2 == 0 else COFFEE.size[::-1]
        assert (result.width_px, result.height_px) == size
        for image, upright in ((rotated, first.photo), (result.thumbnail, thumbnail)):
            assert np.abs(decoded(image) - np.rot90(decoded(upright), -quarters)).mean() < 3
        at_once = rotated_photo(first.photo, quarters, square, DEFAULT_SIZES)
        assert (at_once.crop, at_once.width_px) == (crop, result.width_px)
    assert crop == square
