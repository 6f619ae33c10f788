"""Refusals of uploads under load are immediate, happen before the body is read, and spread retries."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from catloader.demo.client import until
from catloader.errors import UploadsBusy
from catloader.web.uploads.upload_places import UploadPlaces


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def places(clock: _Clock) -> UploadPlaces:
    return UploadPlaces(2, clock, patience_s=0)


def _refused(places: UploadPlaces) -> int:
    """Take a place, which must be refused; return the time after which the client should retry."""
    with pytest.raises(UploadsBusy) as refused:
        places.take()
    assert refused.value.retry_after_s
    return refused.value.retry_after_s


def _until_one_waits(places: UploadPlaces) -> None:
    for _ in until(60, "No upload waits"):
        if places._line:
            break


def test_places_are_taken_and_returned(places: UploadPlaces) -> None:
    places.take()
    places.take()
    assert _refused(places) == 5
    places.leave()
    places.take()
    _refused(places)


def test_one_upload_per_place_waits_until_it_is_free(clock: _Clock) -> None:
    places = UploadPlaces(1, clock, patience_s=20)
    places.take()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(places.take)
        _until_one_waits(places)
        assert _refused(places) == 5  # no further upload may wait
        places.leave()
        waiting.result(60)
    assert _refused_in_a_crowd(places)


def _refused_in_a_crowd(places: UploadPlaces) -> bool:
    """Refuse many uploads; return whether uploads no longer wait."""
    for _ in range(8):
        with pytest.raises(UploadsBusy):
            places.refuse()
    begun_s = time.monotonic()
    _refused(places)
    return time.monotonic() - begun_s < 10


def test_retries_are_spread_over_the_time_that_the_uploads_take(places: UploadPlaces, clock: _Clock) -> None:
    places.take()
    places.take()
    times_s = [_refused(places) for _ in range(200)]
    assert min(times_s) >= 5
    assert 40 < max(times_s) <= 60
    assert len(set(times_s[100:])) > 20
    clock.now_s = 6
    assert _refused(places) == 5  # the load is over


def test_bodies_under_load_are_not_buffered(places: UploadPlaces, clock: _Clock) -> None:
    places.take()
    places.take()
    for _ in range(7):
        _refused(places)
        assert not places.is_crowded()  # a place may be free when a slow upload has been received
    _refused(places)
    assert places.is_crowded()
    places.leave()
    assert not places.is_crowded()
    places.take()
    clock.now_s = 6
    assert not places.is_crowded()


def test_no_upload_overtakes_one_that_waits(clock: _Clock) -> None:
    places, taken = UploadPlaces(2, clock, patience_s=20), list[str]()
    places.take()
    places.take()

    def wait() -> None:
        places.take()
        taken.append("the one that waited")
        places.leave()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        _until_one_waits(places)
        with places._changed:  # so that this upload asks before the waiting one runs
            places.leave()
            places.take()
            taken.append("a new one")
        places.leave()
        waiting.result(60)
    assert taken == ["the one that waited", "a new one"]
