"""The bound on uploads that are being decoded or wait to be decoded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from catloader.errors import UploadsBusy
from catloader.intake.places import Places

ANNA, BEN, CLEO = 1, 2, 3


class Crowd:
    """Uploads that hold their places until ``leave``."""

    def __init__(self, places: Places, threads: ThreadPoolExecutor) -> None:
        self._places, self._threads = places, threads
        self.order: list[int] = []
        self._leave: list[threading.Event] = []

    def come(self, owner_id: int) -> Future[None]:
        leave, begun = threading.Event(), threading.Event()
        self._leave.append(leave)

        def upload() -> None:
            begun.set()
            with self._places.taken(owner_id):
                self.order.append(owner_id)
                assert leave.wait(60)

        future = self._threads.submit(upload)
        assert begun.wait(60)
        return future

    def leave(self) -> None:
        for event in self._leave:
            event.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def _taken(places: Places) -> int:
    """Return the number of uploads that are being decoded or wait."""
    return places._of_owner.total()


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_full_places_refuse_and_are_free_again_afterwards(threads: ThreadPoolExecutor) -> None:
    places = Places(slots=1, waiting=2, patience_s=30)
    crowd = Crowd(places, threads)
    futures: list[Future[None]] = []
    for owner_id in (ANNA, BEN, CLEO):
        futures.append(crowd.come(owner_id))
        until(lambda: _taken(places) == len(futures))
    with pytest.raises(UploadsBusy) as refused, places.taken(4):
        pass
    assert (refused.value.status, refused.value.retry_after_s) == (503, 5)
    assert crowd.order == [ANNA]
    crowd.leave()
    for future in futures:
        future.result(60)
    assert crowd.order == [ANNA, BEN, CLEO]
    with places.taken(4):
        assert _taken(places) == 1
    assert _taken(places) == 0


def test_one_owner_can_use_half_of_the_places(threads: ThreadPoolExecutor) -> None:
    places = Places(slots=2, waiting=4, patience_s=30)
    crowd = Crowd(places, threads)
    futures = [crowd.come(ANNA) for _ in range(3)]
    until(lambda: _taken(places) == 3)
    with pytest.raises(UploadsBusy), places.taken(ANNA):
        pass
    futures.append(crowd.come(BEN))
    until(lambda: _taken(places) == 4)
    crowd.leave()
    for future in futures:
        future.result(60)


def test_a_timed_out_wait_leaves_the_place_free(threads: ThreadPoolExecutor) -> None:
    places = Places(slots=1, waiting=3, patience_s=0.05)
    crowd = Crowd(places, threads)
    first = crowd.come(ANNA)
    until(lambda: crowd.order == [ANNA])
    with pytest.raises(UploadsBusy), places.taken(BEN):
        pass
    assert _taken(places) == 1
    crowd.leave()
    first.result(60)
    with places.taken(BEN):
        pass


def test_an_error_of_the_upload_frees_its_place() -> None:
    places = Places(slots=1, waiting=0, patience_s=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), places.taken(ANNA):
            raise ValueError("broken")
