from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from catloader.errors import NotFound
from catloader.store.s3.breaker import PAUSE_S, Breaker
from catloader.store.s3.errors import NoAnswer


class _Store:
    """A store that answers or does not, and counts the requests that reach it."""

    def __init__(self) -> None:
        self.answers, self.requests, self.probes, self.now_s = True, 0, 0, 100.0
        self.reason = "The store is away."
        self.probe_first: Callable[[], object] = lambda: None
        self.breaker = Breaker(self.probe, clock_s=lambda: self.now_s)

    def probe(self) -> None:
        self.probes += 1
        self.probe_first()
        if not self.answers:
            raise NoAnswer(self.reason)

    def request(self) -> None:
        with self.breaker.guarding():
            self.requests += 1
            if not self.answers:
                raise NoAnswer(self.reason)

    def fails(self) -> bool:
        try:
            self.request()
        except NoAnswer as error:
            assert str(error) == self.reason
            return True
        return False


def _open() -> _Store:
    store = _Store()
    store.answers = False
    assert [store.fails() for _ in range(2)] == [True, True]
    return store


def test_after_two_requests_without_a_response_no_more_are_made() -> None:
    store = _open()
    assert [store.fails() for _ in range(5)] == [True] * 5
    assert (store.requests, store.probes) == (2, 0)


def test_one_probe_after_each_pause_detects_recovery(caplog: pytest.LogCaptureFixture) -> None:
    store = _open()
    for store.reason in ("The store is away.", "The store is silent."):  # the latest one is told
        store.now_s += PAUSE_S
        assert [store.fails() for _ in range(3)] == [True] * 3
    assert (store.requests, store.probes) == (2, 2)
    store.answers = True
    store.now_s += PAUSE_S
    assert [store.fails() for _ in range(3)] == [False] * 3
    assert (store.requests, store.probes) == (5, 3)
    assert caplog.messages == [
        "The store is away. Until it answers, requests to it fail at once.",
        f"The object store answers again, after {3 * PAUSE_S:.0f} s.",
    ]


def test_other_requests_do_not_wait_for_the_probe() -> None:
    probing, go_on = threading.Event(), threading.Event()
    store = _open()

    def slow_probe() -> None:
        probing.set()
        assert go_on.wait(60)

    store.probe_first = slow_probe
    store.answers, store.now_s = True, store.now_s + PAUSE_S
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.fails)
        assert probing.wait(60)
        assert store.fails()
        go_on.set()
        assert first.result() is False
    assert not store.fails()


def test_failures_with_a_response_between_them_do_not_open_the_breaker() -> None:
    store = _Store()
    for answers in (False, True, False, True, False):
        store.answers = answers
        store.fails()
    assert store.requests == 5


def test_a_refusal_counts_as_a_response() -> None:
    store = _Store()
    for _ in range(3):
        with pytest.raises(NotFound), store.breaker.guarding():
            raise NotFound("It is not in the store.")
    store.request()
    assert store.requests == 1


def test_a_refusal_between_two_requests_without_a_response_keeps_the_breaker_closed() -> None:
    store = _Store()
    for _ in range(3):
        store.answers = False
        assert store.fails()
        with pytest.raises(NotFound), store.breaker.guarding():
            raise NotFound("It is not in the store.")
    store.answers = True
    store.request()
    assert (store.requests, store.probes) == (4, 0)


def test_a_refused_probe_counts_as_a_response() -> None:
    store = _open()
    store.answers, store.now_s = True, store.now_s + PAUSE_S

    def refused() -> None:
        raise NotFound("There is no such bucket.")

    store.probe_first = refused
    assert [store.fails() for _ in range(2)] == [False, False]
    assert (store.requests, store.probes) == (4, 1)


def test_a_request_that_fails_late_neither_postpones_the_probe_nor_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = _Store()
    store.answers = False
    with pytest.raises(NoAnswer), store.breaker.guarding():
        assert [store.fails() for _ in range(2)] == [True, True]  # of other threads
        store.now_s += PAUSE_S / 2
        raise NoAnswer(store.reason)
    store.answers, store.now_s = True, store.now_s + PAUSE_S / 2
    assert not store.fails()
    assert len(caplog.messages) == 2, "away, and back"
