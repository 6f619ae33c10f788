"""The engine ``local`` alone, with photos in memory and a stub model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from catloader.bulk.engines.local import UnitPool, run_local
from catloader.bulk.manifest import PlannedPhoto
from checker.errors import CheckerError, ClassifierFailed, DecodingFailed, ObjectRefused, StoreUnavailable
from checker.pipeline import LoadedModel
from checker.pixels.decode import decode_each
from checker.values import INPUTS_PER_PHOTO, Claim, Pixels, Rendition
from models.catalogue import Preprocessing
from tests.support.fakes import FaultySource, StubClassifier, StubRule, claim_of, flat
from tests.support.interrupts import ctrl_c_when_locked

_UNITS, _UNIT_ROWS, _BATCH, _WORKERS = 6, 8, 4, 2


class _Source(FaultySource):
    """Counts the fetched thumbnails, so that a test can wait for a number of completely fetched photos."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.fetched = 0

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        data = super().get(claim, rendition)
        with self.changed:
            self.fetched += rendition is Rendition.THUMBNAIL
            self.changed.notify_all()
        return data

    def has_fetched(self, photos: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.fetched >= photos, 30)


@pytest.fixture
def source() -> _Source:
    source = _Source()
    for number in range(_UNITS * _UNIT_ROWS):
        source.add(number, flat("red"))
    return source


def _unit(number: int) -> tuple[int, list[PlannedPhoto]]:
    claims = [claim_of(number * _UNIT_ROWS + place) for place in range(_UNIT_ROWS)]
    return number, [
        PlannedPhoto(claim.photo_id, claim.photo_key, claim.thumbnail_key, None, None, 1, "cat", 0.5, None)
        for claim in claims
    ]


def _pool(source: _Source, classifier: StubClassifier) -> UnitPool:
    model = LoadedModel(classifier, StubRule())
    return UnitPool(source, decode_each, model, workers=_WORKERS, batch_photos=_BATCH)


def test_units_are_prefetched_and_classified_only_when_earlier_ones_are_written(source: _Source) -> None:
    classifier = StubClassifier()
    done = run_local(map(_unit, range(_UNITS)), _pool(source, classifier))
    for number in range(_UNITS):
        unit, rows = next(done)
        assert (unit, [row["photo_id"] for row in rows]) == (
            number,
            list(range(number * _UNIT_ROWS, (number + 1) * _UNIT_ROWS)),
        )
        written = (number + 1) * _UNIT_ROWS
        assert source.has_fetched(min(written + 2 * _WORKERS * _BATCH, _UNITS * _UNIT_ROWS))
        assert sum(classifier.batches) == written * INPUTS_PER_PHOTO
    assert next(done, None) is None


def test_one_refused_object_does_not_end_a_run_but_an_unavailable_store_does(source: _Source) -> None:
    def run() -> list[int]:
        done = run_local(map(_unit, range(1)), _pool(source, StubClassifier()))
        return [row["photo_id"] for _, rows in done for row in rows if row["error"] is not None]

    source.errors[3] = ObjectRefused("refused, and gives others")
    assert run() == [3]
    source.errors[3] = StoreUnavailable("no answer")
    with pytest.raises(StoreUnavailable):
        run()


def test_a_failing_model_ends_a_run(source: _Source) -> None:
    classifier = StubClassifier(most=0, fails=ClassifierFailed("the GPU is lost"))
    with pytest.raises(CheckerError, match="the GPU is lost"):
        list(run_local(map(_unit, range(1)), _pool(source, classifier)))


@pytest.mark.parametrize(
    ("failures", "verdict", "error"), [(1, "cat", None), (2, "unreadable", "It crashed.")]
)
def test_a_photo_whose_decoding_failed_is_decoded_once_more_and_alone(
    source: _Source, failures: int, verdict: str, error: str | None
) -> None:
    """The cause may have been another photo or a busy machine."""
    decoded: list[int] = []

    def decode(
        photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        decoded.append(len(photos))
        results = list(decode_each(photos, preprocessing))
        if len(decoded) <= failures:
            results[0] = DecodingFailed("It crashed.")
        return iter(results)

    model = LoadedModel(StubClassifier(), StubRule())
    pool = UnitPool(source, decode, model, workers=1, batch_photos=2)
    ((_, rows),) = run_local([(0, _unit(0)[1][:2])], pool)
    assert decoded == [2, 1]
    assert [(row["verdict"], row["error"]) for row in rows] == [(verdict, error), ("cat", None)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("function", ["next", "result"])
def test_ctrl_c_while_a_lock_is_being_acquired_ends_the_run(source: _Source, function: str) -> None:
    classifier = StubClassifier()
    classifier.gate = threading.Event()
    pool = _pool(source, classifier)
    with pytest.raises(KeyboardInterrupt), ctrl_c_when_locked(function, classifier.gate.set):
        for _ in run_local(map(_unit, range(_UNITS)), pool):
            pass
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("bulk")]
