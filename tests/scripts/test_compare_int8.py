"""The photos that ``compare_int8.py`` calibrates with and those that it evaluates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from scripts import compare_int8
from scripts.command_line import CannotRun
from scripts.comparisons.int8 import _fastest_tenth, split


@pytest.mark.parametrize(("judged", "evaluated"), [(0, 60), (20, 20), (60, 60), (500, 60)])
def test_no_photo_is_evaluated_twice_or_has_a_part_in_calibration(judged: int, evaluated: int) -> None:
    calibration, others = split(100, 40, judged)
    assert (len(calibration), len(others)) == (40, evaluated)
    assert len(np.union1d(calibration, others)) == 40 + evaluated
    assert others.max() > 90, "they are spread over all photos"


@pytest.mark.parametrize(("photos", "judged"), [(0, 0), (40, 0), (48, 0), (48, 20), (100, 8)])
def test_fewer_photos_than_two_batches_are_refused(photos: int, judged: int) -> None:
    with pytest.raises(CannotRun, match="at least 9"):
        split(photos, 40, judged)
    assert len(split(49, 40, 9)[1]) == 9


def test_times_of_few_batches_are_not_below_the_fastest() -> None:
    assert 10 <= _fastest_tenth([10.0, 40.0]) <= 40


def test_a_small_folder_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label, name in (("cat", "chelsea.png"), ("not_cat", "coffee.png")):
        (tmp_path / label).mkdir()
        Image.open(Path(skimage.__file__).parent / "data" / name).save(tmp_path / label / name)
    assert compare_int8.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.endswith(
        ": of 2 photos, 300 are for calibration (--calibration), and at least 9 others must be evaluated "
        "(--judged)\n"
    )
