"""Every hostile file, passed directly to ``prepare``, must quickly give the expected result."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from catloader.errors import BadImage
from catloader.intake.prepare import Limits, Prepared, prepare
from tests.support.hostile import HostileCorpus, HostileFile

LIMITS = Limits(max_bytes=25 * 2**20, max_pixels=10**8, max_edge_px=2560, thumbnail_px=320, jpeg_quality=88)
MAX_S = 5.0
WITHIN = 24
"""Maximum difference between two means of a channel; white is 255."""


@dataclass(frozen=True)
class Case:
    file: HostileFile
    prepared: Prepared | None
    seconds: float


@dataclass(frozen=True)
class Cases:
    all: list[Case]
    right_share: float

    def rightly_accepted(self) -> list[tuple[HostileFile, Prepared]]:
        return [(case.file, case.prepared) for case in self.all if case.prepared and case.file.is_accepted]

    def assert_nearly_all_right(self, wrong: list[str], number: int) -> None:
        assert number
        assert len(wrong) <= (1 - self.right_share) * number, f"{len(wrong)} of {number}: {wrong}"


@pytest.fixture(scope="module")
def cases(hostile_corpus: HostileCorpus) -> Cases:
    results = []
    for file in hostile_corpus.files:
        prepared = None
        start = time.process_time()
        try:
            prepared = prepare(file.data, limits=LIMITS)
        except BadImage as error:
            assert str(error).endswith("."), file.name
        results.append(Case(file, prepared, time.process_time() - start))
    return Cases(results, hostile_corpus.right_share)


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return np.asarray(image, dtype=float)


def quarters(image: np.ndarray) -> np.ndarray:
    """Return the mean colours of the top left, top right, bottom left and bottom right quarter."""
    y, x = image.shape[0] // 2, image.shape[1] // 2
    parts = (image[:y, :x], image[:y, x:], image[y:, :x], image[y:, x:])
    return np.array([part.mean((0, 1)) for part in parts])


def test_each_file_is_accepted_or_refused_as_expected(cases: Cases) -> None:
    wrong = [case.file.name for case in cases.all if bool(case.prepared) != case.file.is_accepted]
    cases.assert_nearly_all_right(wrong, len(cases.all))


def test_no_file_takes_more_than_five_seconds(cases: Cases) -> None:
    assert not [case.file.name for case in cases.all if case.seconds > MAX_S]


def test_accepted_photos_have_their_upright_size(cases: Cases) -> None:
    wrong, accepted = [], cases.rightly_accepted()
    for file, prepared in accepted:
        assert file.upright_px is not None
        size = np.array(file.upright_px)
        expected = size * min(1, LIMITS.max_edge_px / size.max())
        if np.abs(expected - (prepared.width_px, prepared.height_px)).max() > 1:
            wrong.append(file.name)
    cases.assert_nearly_all_right(wrong, len(accepted))


def test_accepted_photos_keep_their_colours(cases: Cases) -> None:
    wrong, accepted = [], [pair for pair in cases.rightly_accepted() if pair[0].colours is not None]
    for file, prepared in accepted:
        if np.abs(quarters(pixels(prepared.photo)) - file.colours).max() > WITHIN:
            wrong.append(file.name)
    cases.assert_nearly_all_right(wrong, len(accepted))


def test_thumbnails_show_the_square_that_is_their_crop(cases: Cases) -> None:
    for file, prepared in cases.rightly_accepted():
        left, top, side = prepared.crop
        crop = pixels(prepared.photo)[top : top + side, left : left + side]
        thumbnail = pixels(prepared.thumbnail)
        assert thumbnail.shape == (prepared.thumbnail_px, prepared.thumbnail_px, 3)
        if side > 1:
            assert np.abs(quarters(crop) - quarters(thumbnail)).max() <= WITHIN, file.name


def test_stored_photos_contain_no_metadata(cases: Cases) -> None:
    for file, prepared in cases.rightly_accepted():
        for jpeg in (prepared.photo, prepared.thumbnail):
            assert not [text for text in file.forbidden if text in jpeg], file.name
            with JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg)) as image:
                assert set(image.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}, file.name
                assert set(image.app) == {"APP0"}, file.name
