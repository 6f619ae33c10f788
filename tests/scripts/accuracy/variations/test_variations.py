from __future__ import annotations

import io
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto
from checker.pixels.decode import decode_squares
from checker.pixels.detail import detail_of
from checker.pixels.facts import Facts, facts_of
from checker.pixels.frame import whole_square
from checker.pixels.renditions import encode
from checker.pixels.sizes import DEFAULT_SIZES
from checker.values import Pixels, Rendition
from models.catalogue import entry_named
from scripts.accuracy.variations.corruptions import corruptions
from scripts.accuracy.variations.drawings import drawings
from scripts.accuracy.variations.edits import edits
from scripts.accuracy.variations.positions import positions
from scripts.accuracy.variations.variations import Variation, sample, varied
from tests.support.photo_sets import OWN_PHOTOS

CHOSEN = [next(photo for photo in OWN_PHOTOS.photos if photo.label == label) for label in (CAT, NOT_CAT)]


def changed(variation: Variation) -> tuple[Facts, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Return facts and pixels of the first photo, decoded again from the bytes that a site would store."""
    data = varied(CHOSEN, variation)[0].read()[Rendition.PHOTO]
    return facts_of(data), np.asarray(Image.open(io.BytesIO(data)))


def family(name: str) -> list[Variation]:
    return [variation for variation in corruptions() if variation.family == name]


def test_each_corruption_has_five_strengths() -> None:
    assert Counter(variation.family for variation in corruptions()) == {
        "blur": 5, "small, enlarged": 5, "JPEG": 5, "darkness": 5, "noise": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "figure", "falls"),
    [
        ("blur", "sharpness", True),
        ("small, enlarged", "sharpness", True),
        ("darkness", "brightness", True),
        ("noise", "sharpness", False),
    ],
)
def test_each_strength_changes_the_photo_more_than_the_previous_one(
    name: str, figure: str, falls: bool
) -> None:
    original = facts_of(CHOSEN[0].read()[Rendition.PHOTO])
    variations = [changed(variation)[0] for variation in family(name)]
    figures = [getattr(facts, figure) for facts in (original, *variations)]
    assert all((second < first) == falls for first, second in pairwise(figures)), figures


def test_stronger_compression_leaves_fewer_different_pixels() -> None:
    """Only the mean of a flat square of 8 x 8 px is kept."""
    flat = []
    for variation in family("JPEG"):
        _, pixels = changed(variation)
        flat.append(float((np.abs(np.diff(pixels[:, :, 1].astype(int), axis=1)) <= 1).mean()))
    assert flat == sorted(flat)
    assert flat[-1] > flat[0] + 0.05


def test_a_corruption_keeps_size_label_and_kind_and_is_deterministic() -> None:
    for variation in [*corruptions(), *drawings()]:
        photo = varied(CHOSEN, variation)[0]
        assert (photo.name, photo.label, photo.kind) == (CHOSEN[0].name, CHOSEN[0].label, CHOSEN[0].kind)
        with Image.open(io.BytesIO(CHOSEN[0].read()[Rendition.PHOTO])) as image:
            aspect = image.width / image.height
        facts, _ = changed(variation)
        assert facts.width_px / facts.height_px == pytest.approx(aspect, rel=0.01)
    noise = family("noise")[0]
    assert varied(CHOSEN, noise)[0].read() == varied(CHOSEN, noise)[0].read()


def test_drawings_of_a_photo_are_recognised_as_drawn() -> None:
    original, techniques = CHOSEN[0].read()[Rendition.THUMBNAIL], set()
    assert not detail_of(model_input(original)).drawn
    for variation in drawings():
        thumbnail = varied(CHOSEN, variation)[0].read()[Rendition.THUMBNAIL]
        if detail_of(model_input(thumbnail)).drawn:
            techniques.add(variation.strength)
    assert techniques >= {"lines", "contours", "contours in colour", "relief", "dots", "pencil"}


def test_edits_keep_all_of_the_photo() -> None:
    with Image.open(io.BytesIO(CHOSEN[0].read()[Rendition.PHOTO])) as image:
        photo = image.convert("RGB")
    edited = {variation.name: variation.change(photo, 0, lambda: photo) for variation in edits()}
    original = np.asarray(photo)
    assert (np.rot90(original) == edited["turned, by 90 degrees"]).all()
    assert (np.rot90(original, 2) == edited["turned, upside down"]).all()
    for colour, level in (("black", 0), ("white", 255)):
        frame = edited[f"frame, {colour}"]
        border = (frame.width - photo.width) // 2
        assert border / min(photo.size) == pytest.approx(0.15, rel=0.01)
        assert np.asarray(frame)[:border].min() == np.asarray(frame)[:border].max() == level
        assert (np.asarray(frame)[border:-border, border:-border] == original).all()
    marked = np.asarray(edited["watermark, tiled"])
    assert (marked >= original).all()
    assert 0.02 < (marked > original).any(axis=2).mean() < 0.2
    screen = edited["screen, in a dark room"]
    assert 0.4 < photo.width * photo.height / (screen.width * screen.height) < 0.7


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (24, 24)])
def test_tiny_photos_can_be_modified_in_every_way(size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(CHOSEN[0].read()[Rendition.PHOTO])) as image:
        photo = image.convert("RGB").resize(size)
    for variation in [*corruptions(), *drawings(), *edits(), *positions()]:
        encode(variation.change(photo, 0, lambda: photo), DEFAULT_SIZES)


def model_input(thumbnail: bytes) -> Pixels:
    preprocessing = entry_named("efficientnet_lite0").preprocessing
    return np.asarray(decode_squares(thumbnail, preprocessing, whole_square)[0])


def test_every_variation_of_every_photo_has_its_own_digest() -> None:
    variations = [*corruptions(), *drawings(), *edits(), *positions()]
    digests = {photo.digest() for variation in variations for photo in varied(CHOSEN, variation)}
    assert len(digests) == 2 * len(variations)
    assert not digests & {photo.digest() for photo in CHOSEN}


def test_the_photo_is_pasted_at_the_position_on_a_photo_without_a_cat() -> None:
    white, black = ({rendition: _flat(level) for rendition in Rendition} for level in (255, 0))
    cat = LabelledPhoto("cat", CAT, lambda: white)
    other = LabelledPhoto("other", NOT_CAT, lambda: black)
    shares = {}
    for variation in positions():
        data = varied([cat, other], variation)[0].read()[Rendition.PHOTO]
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L")) > 127
        shares[variation.name] = (pixels.mean(), pixels[0, 0], pixels[-1, -1], pixels.shape)
    share, top_left, bottom_right, shape = shares["16:9, left"]
    assert (round(share, 2), bool(top_left), bool(bottom_right), shape) == (0.17, False, False, (720, 1280))
    share, top_left, _, shape = shares["3:1, left"]
    assert (round(share, 2), bool(top_left), shape) == (0.33, True, (512, 1536))
    share, _, bottom_right, _ = shares["collage, a quarter"]
    assert (round(share, 2), bool(bottom_right)) == (0.25, True)
    assert round(shares["small, in the middle, 4 %"][0], 2) == 0.04


def _flat(level: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (400, 300), (level,) * 3).save(out, "JPEG")
    return out.getvalue()


def test_a_sample_has_equally_many_of_both_labels_spread_over_the_kinds() -> None:
    def photo(number: int, label: str, kind: str | None) -> LabelledPhoto:
        return LabelledPhoto(f"{label}-{kind}-{number:03}", label, CHOSEN[0].read, kind)

    photos = [photo(number, CAT, None) for number in range(50)]
    photos += [photo(number, NOT_CAT, "dog") for number in range(50)]
    photos += [photo(number, NOT_CAT, "thing or scene") for number in range(3)]
    photos += [photo(0, "wild_feline", None)]
    sampled = sample(photos, 10)
    assert Counter((photo.label, photo.kind) for photo in sampled) == {
        (CAT, None): 10, (NOT_CAT, "dog"): 7, (NOT_CAT, "thing or scene"): 3,
    }  # fmt: skip
    assert sample(photos[::-1], 10) == sampled
    assert len(sample(photos, 1000)) == 103
