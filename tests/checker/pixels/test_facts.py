from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from checker.pixels.facts import facts_of
from tests.support.photo_sets import OWN_PHOTOS


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_facts_describe_the_photo() -> None:
    with Image.open(OWN_PHOTOS.files("cat")[0]) as file:
        photo = file.convert("RGB")
    facts = facts_of(encoded(photo))
    assert (facts.width_px, facts.height_px) == photo.size
    blurred = facts_of(encoded(photo.filter(ImageFilter.GaussianBlur(6))))
    assert blurred.sharpness < facts.sharpness / 4
    assert blurred.brightness == pytest.approx(facts.brightness, abs=1)
    dark = facts_of(encoded(photo.point([level // 4 for level in range(256)] * 3)))
    assert dark.brightness == pytest.approx(facts.brightness / 4, abs=1)
    assert facts_of(encoded(photo.convert("L"))).colour == 0 < facts.colour


def test_sharpness_does_not_depend_on_the_size_of_the_file() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 300, 3), dtype=np.uint8)
    small = Image.fromarray(noise)
    large = small.resize((1200, 1024), Image.Resampling.NEAREST)
    assert facts_of(encoded(large)).sharpness == pytest.approx(facts_of(encoded(small)).sharpness, rel=0.01)


def test_a_photo_of_one_pixel_has_facts() -> None:
    facts = facts_of(encoded(Image.new("RGB", (1, 1), (255, 0, 0))))
    assert (facts.width_px, facts.sharpness, facts.colour) == (1, 0, 255)
