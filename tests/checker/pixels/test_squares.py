"""The model's three inputs of a photo: both of its ends, and the thumbnail."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from PIL import Image

from checker.pixels.decode import decode_squares, model_inputs
from checker.pixels.frame import end_squares, whole_square
from checker.pixels.renditions import site_renditions
from checker.values import INPUTS_PER_PHOTO, Pixels
from models.catalogue import entry_named
from tests.checker.pixels.test_decode import Signed, drawing, encoded

LITE0 = entry_named("efficientnet_lite0").preprocessing
RESNET = entry_named("resnet50").preprocessing
SIDE = 224
SIZES = [(640, 427), (427, 640), (600, 600), (610, 600), (1280, 720), (720, 1280), (900, 450)]


@pytest.mark.parametrize(("width", "height"), [*SIZES, (3000, 1000), (100, 400), (2, 2)])
def test_squares_lie_in_opposite_corners_and_cover_the_photo_from_end_to_end(width: int, height: int) -> None:
    frame = end_squares(width, height, LITE0)
    assert frame.corners == ((0, 0), (frame.width - SIDE, frame.height - SIDE))
    longer, shorter = max(frame.width, frame.height), min(frame.width, frame.height)
    assert SIDE <= shorter <= LITE0.resize_px <= longer <= 2 * SIDE, (
        "the second square begins where the first ends"
    )
    assert (frame.width >= frame.height) == (width >= height)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_photo_up_to_two_to_one_keeps_its_proportions(width: int, height: int) -> None:
    frame = end_squares(width, height, LITE0)
    assert frame.width / frame.height == pytest.approx(width / height, rel=0.005)


def squares_and_whole(size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Return the squares of a drawing, and all of it as Pillow resizes it for them."""
    photo = drawing(*size)
    squares = decode_squares(encoded(photo, "PNG"), RESNET, end_squares)
    frame = end_squares(*size, RESNET)
    # Horizontally first, then vertically, like torchvision.
    resized = photo.resize((frame.width, size[1]), Image.Resampling.BILINEAR)
    return squares, np.asarray(resized.resize((frame.width, frame.height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("size", SIZES)
def test_squares_are_those_of_the_whole_photo_resized(size: tuple[int, int]) -> None:
    squares, whole = squares_and_whole(size)
    assert np.array_equal(squares[0], whole[:SIDE, :SIDE])
    assert np.array_equal(squares[1], whole[-SIDE:, -SIDE:])


LONG_SIZES = [(1000, 200), (200, 1000), (1601, 201), (40, 4000)]


@pytest.mark.parametrize(("width", "height"), LONG_SIZES)
def test_a_long_photo_is_folded_and_seen_from_end_to_end(width: int, height: int) -> None:
    frame = end_squares(width, height, LITE0)
    heat = frame.put_back(np.ones((2, SIDE, SIDE), dtype=np.float32))
    assert heat.shape == (frame.height, frame.width)
    assert heat.all(), "a part of the photo is in no square"
    aspect = max(width, height) / min(width, height)
    assert max(frame.width, frame.height) / min(frame.width, frame.height) == pytest.approx(
        min(aspect, 8), rel=0.01
    )
    assert (frame.width > frame.height) == (width > height)


@pytest.mark.parametrize("size", [(1000, 200), (200, 1000)])
def test_squares_of_a_long_photo_are_two_parts_of_it_each(size: tuple[int, int]) -> None:
    squares, whole = squares_and_whole(size)
    if size[0] < size[1]:  # its parts are side by side
        squares, whole = squares.transpose(0, 2, 1, 3), whole.transpose(1, 0, 2)
    first, last = squares
    half = SIDE // 2
    assert np.array_equal(first[:half], whole[:, :SIDE])
    assert np.array_equal(last[half:], whole[:, -SIDE:])
    third = round((whole.shape[1] - SIDE) / 3)
    assert np.array_equal(first[half:], whole[:, third : third + SIDE])


@pytest.mark.parametrize("size", [(640, 427), (1000, 200), (200, 1000), (4000, 40)])
def test_maps_of_the_squares_are_put_back_where_the_squares_were(size: tuple[int, int]) -> None:
    frame = end_squares(*size, LITE0)
    places = np.random.default_rng(0).integers(1, 256, (frame.height, frame.width, 3), dtype=np.uint8)
    back = frame.put_back(frame.cut(places, 0, 0)[..., 0].astype(np.float32))
    seen = back > 0
    assert np.array_equal(back[seen], places[seen][:, 0])
    assert seen.mean() > 0.6


def upright_photo(size: tuple[int, int]) -> Image.Image:
    photo = Image.linear_gradient("L").resize(size).convert("RGB")
    photo.paste("red", (0, 0, size[0] // 8, size[1] // 8))
    return photo


FAST = {"PNG": {"compress_level": 1}, "JPEG": {}}
"""Options of encoders, of which PNG's takes longer than the tests by default."""


@functools.cache
def upright_squares(form: str, size: tuple[int, int]) -> Signed:
    """Decode the upright photo once for all orientations."""
    return decode_squares(encoded(upright_photo(size), form, **FAST[form]), LITE0, end_squares).astype(
        np.int16
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (4000, 2100), (1200, 200)])
def test_squares_of_every_orientation_are_upright(orientation: int, form: str, size: tuple[int, int]) -> None:
    """Rotated back by the test, the squares equal those of the upright photo."""
    turns = {
        1: (),
        2: (Image.Transpose.FLIP_LEFT_RIGHT,),
        3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_90,),
        7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_270,),
    }
    stored = upright_photo(size)
    for turn in turns[orientation]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, form, exif=exif, **FAST[form])
    squares = decode_squares(data, LITE0, end_squares).astype(np.int16)
    assert np.abs(squares - upright_squares(form, size)).mean() < 2


def test_thumbnail_is_used_up_to_its_edges() -> None:
    thumbnail = Image.new("RGB", (320, 320), "white")
    thumbnail.paste("black", (0, 0, 320, 12))
    (square,) = decode_squares(encoded(thumbnail, "PNG"), LITE0, whole_square)
    assert square[:6].max() < 30


def test_inputs_are_the_two_ends_and_the_thumbnail() -> None:
    wide = Image.new("RGB", (1200, 400), "blue")
    wide.paste("red", (0, 0, 400, 400))
    wide.paste("lime", (800, 0, 1200, 400))
    file = io.BytesIO()
    wide.save(file, "PNG")
    inputs = model_inputs(site_renditions(file.getvalue()), LITE0)
    assert inputs.shape == (INPUTS_PER_PHOTO, SIDE, SIDE, 3)
    assert inputs.dtype == np.uint8
    first, last, thumbnail = inputs.mean(axis=(1, 2))
    assert first.argmax() == 0, "red is at the left"
    assert last.argmax() == 1, "green is at the right"
    assert thumbnail.argmax() == 2, "blue is in the middle"
