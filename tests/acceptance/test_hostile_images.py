"""Every hostile file must quickly give the expected result: in this process, and the same in a child."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from catloader.errors import BadImage
from catloader.intake.isolated import WORK, IsolatedPreparer
from catloader.intake.places import Places
from catloader.intake.prepare import Limits, Prepared, prepare
from checker.isolation import limits
from checker.isolation.fork_server import ForkServer
from checker.isolation.pool import ChildPool
from tests.support.hostile import HostileCorpus, HostileFile

LIMITS = Limits(max_bytes=25 * 2**20, max_pixels=10**8, max_edge_px=2560, thumbnail_px=320, jpeg_quality=88)
MAX_S = 5.0
WITHIN = 24
"""Maximum difference between two means of a channel; white is 255."""


Refusal = tuple[type[BadImage], str]


@dataclass(frozen=True)
class Case:
    file: HostileFile
    outcome: Prepared | Refusal
    in_a_child: Prepared | Refusal
    seconds: float
    """Processor time of this process for ``outcome``."""

    @property
    def prepared(self) -> Prepared | None:
        return self.outcome if isinstance(self.outcome, Prepared) else None


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
def isolated() -> Iterator[IsolatedPreparer]:
    with closing(ForkServer([WORK], limits.DEFAULT_LIMITS.memory_bytes)) as server:
        pool = ChildPool(server, children=1, limits=limits.Limits(cpu_s=60.0, wall_s=120.0))
        with closing(pool):
            yield IsolatedPreparer(pool, Places(slots=1, waiting=0, patience_s=0), LIMITS)


@pytest.fixture(scope="module")
def cases(hostile_corpus: HostileCorpus, isolated: IsolatedPreparer) -> Cases:
    results = []
    for file in hostile_corpus.files:
        start = time.process_time()
        outcome = _outcome(lambda data: prepare(data, limits=LIMITS), file)
        seconds = time.process_time() - start
        results.append(Case(file, outcome, _outcome(lambda data: isolated(data, 1), file), seconds))
    return Cases(results, hostile_corpus.right_share)


def _outcome(prepare: Callable[[bytes], Prepared], file: HostileFile) -> Prepared | Refusal:
    try:
        return prepare(file.data)
    except BadImage as error:
        return type(error), str(error)


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


def test_refusals_are_sentences(cases: Cases) -> None:
    refusals = [case.outcome for case in cases.all if not isinstance(case.outcome, Prepared)]
    assert refusals
    assert [sentence for _, sentence in refusals if not sentence.endswith(".")] == []


def test_each_file_gets_the_same_result_or_refusal_in_a_child_process(cases: Cases) -> None:
    assert [case.file.name for case in cases.all if case.in_a_child != case.outcome] == []


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
