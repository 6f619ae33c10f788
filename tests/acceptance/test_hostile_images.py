"""Every file of the shared hostile corpus, straight through ``prepare``: what its manifest says, and soon."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from catloader.errors import BadImage
from catloader.intake.prepare import Limits, Prepared, prepare

LIMITS = Limits(max_bytes=25 * 2**20, max_pixels=10**8, max_edge_px=2560, thumbnail_px=320, jpeg_quality=88)
MIN_SHARE = 0.97
MAX_S = 5.0
WITHIN = 24  # per channel, as the corpus's README has it


@dataclass(frozen=True)
class Case:
    row: dict[str, str]
    prepared: Prepared | None
    seconds: float

    @property
    def name(self) -> str:
        return self.row["file"]


@pytest.fixture(scope="module")
def cases(hostile_dir: Path) -> list[Case]:
    found = []
    with (hostile_dir / "manifest.csv").open(newline="") as manifest:
        for row in csv.DictReader(manifest):
            data = (hostile_dir / row["file"]).read_bytes()
            prepared = None
            start = time.perf_counter()
            try:
                prepared = prepare(data, limits=LIMITS)
            except BadImage as error:
                assert str(error).endswith("."), row["file"]
            found.append(Case(row, prepared, time.perf_counter() - start))
    return found


@pytest.fixture(scope="module")
def accepted(cases: list[Case]) -> list[tuple[Case, Prepared]]:
    """Rightly so."""
    return [(case, case.prepared) for case in cases if case.prepared and case.row["expected"] == "accept"]


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
        return np.asarray(picture, dtype=float)


def quadrants(picture: np.ndarray) -> np.ndarray:
    """Mean colours of top left, top right, bottom left, bottom right."""
    y, x = picture.shape[0] // 2, picture.shape[1] // 2
    parts = (picture[:y, :x], picture[:y, x:], picture[y:, :x], picture[y:, x:])
    return np.array([part.mean((0, 1)) for part in parts])


def assert_nearly_all(wrong: list[str], of: int) -> None:
    assert of
    assert len(wrong) <= (1 - MIN_SHARE) * of, f"{len(wrong)} of {of}: {wrong}"


def test_taken_or_refused_as_the_manifest_says(cases: list[Case]) -> None:
    wrong = [case.name for case in cases if (case.prepared is not None) != (case.row["expected"] == "accept")]
    assert_nearly_all(wrong, len(cases))


def test_none_takes_long(cases: list[Case]) -> None:
    assert not [case.name for case in cases if case.seconds > MAX_S]


def test_upright_sizes(accepted: list[tuple[Case, Prepared]]) -> None:
    wrong = []
    for case, prepared in accepted:
        size = np.array([int(case.row["upright_width"]), int(case.row["upright_height"])])
        expected = size * min(1, LIMITS.max_edge_px / size.max())
        if np.abs(expected - (prepared.width_px, prepared.height_px)).max() > 1:
            wrong.append(case.name)
    assert_nearly_all(wrong, len(accepted))


def test_colours(accepted: list[tuple[Case, Prepared]]) -> None:
    wrong = []
    for case, prepared in accepted:
        expected = [list(bytes.fromhex(colour)) for colour in case.row["upright_quadrants"].split()]
        if np.abs(quadrants(pixels(prepared.photo)) - expected).max() > WITHIN:
            wrong.append(case.name)
    assert_nearly_all(wrong, len(accepted))


def test_thumbnails_show_their_crop(accepted: list[tuple[Case, Prepared]]) -> None:
    for case, prepared in accepted:
        left, top, side = prepared.crop
        crop = pixels(prepared.photo)[top : top + side, left : left + side]
        thumbnail = pixels(prepared.thumbnail)
        assert thumbnail.shape == (prepared.thumbnail_px, prepared.thumbnail_px, 3)
        assert np.abs(quadrants(crop) - quadrants(thumbnail)).max() <= WITHIN, case.name


def test_nothing_forbidden_in_what_is_kept(accepted: list[tuple[Case, Prepared]]) -> None:
    for case, prepared in accepted:
        for jpeg in (prepared.photo, prepared.thumbnail):
            assert b"CATMARK" not in jpeg, case.name
            with JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg)) as picture:
                assert set(picture.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}, case.name
                assert set(picture.app) == {"APP0"}, case.name
