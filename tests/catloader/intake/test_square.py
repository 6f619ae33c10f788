"""A square crop that is chosen before the upload."""

from __future__ import annotations

import pytest

from catloader.errors import InvalidInput
from catloader.intake.square import Square, square_of_text
from checker.pixels.renditions import Crop


@pytest.mark.parametrize(
    ("text", "width_px", "height_px", "expected"),
    [
        ("0.5,0,0.5", 400, 300, Crop(200, 0, 200)),
        ("0.25,0.5,0.25", 1000, 2000, Crop(250, 500, 250)),
        ("0.9,0.9,0.5", 400, 300, Crop(200, 100, 200)),  # moved so that it is inside the photo
        ("0,0,9", 400, 300, Crop(0, 0, 300)),
        ("0,0,0", 400, 300, Crop(0, 0, 64)),
        ("1,1,0", 40, 30, Crop(10, 0, 30)),  # a photo smaller than the smallest square
    ],
)
def test_a_square_lies_within_the_photo(text: str, width_px: int, height_px: int, expected: Crop) -> None:
    assert square_of_text(text).within(width_px, height_px) == expected


@pytest.mark.parametrize(
    "text", ["", "1,2", "1,2,3,4", "a,b,c", "-1,0,1", "nan,0,1", "1e9,0,1", "1000,0,1", "٣,0,1"]
)
def test_text_that_is_not_a_square_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        square_of_text(text)


def test_numbers_equal_those_in_the_text() -> None:
    assert square_of_text("0.123456,1,0.5") == Square(0.123456, 1, 0.5)
