"""Counting the calls of a model, and its idle time."""

from __future__ import annotations

import queue
import threading
import time

import pytest

from checker.runtimes.in_flight import InFlight


def test_nested_calls_are_counted() -> None:
    in_flight = InFlight(lambda: None, 60.0)
    with in_flight.call() as first, in_flight.call() as second:
        assert (first, second) == (1, 2)
    with in_flight.call() as third:
        assert third == 1
    in_flight.close()


def test_idle_is_reported_once_after_the_last_call() -> None:
    idle: queue.Queue[float] = queue.Queue()
    in_flight = InFlight(lambda: idle.put(time.monotonic()), 0.2)
    with in_flight.call():
        pass
    time.sleep(0.1)
    with in_flight.call():
        time.sleep(0.3)
        assert idle.empty(), "a call was in flight"
        ended = time.monotonic()
    assert idle.get(timeout=10) >= ended + 0.2
    with pytest.raises(queue.Empty):
        idle.get(timeout=0.5)
    with in_flight.call():
        pass
    idle.get(timeout=10)
    in_flight.close()


def test_a_call_waits_while_idle_is_handled() -> None:
    handling, go_on = threading.Event(), threading.Event()

    def on_idle() -> None:
        handling.set()
        assert go_on.wait(10)

    in_flight = InFlight(on_idle, 0.01)
    with in_flight.call():
        pass
    assert handling.wait(10)
    began = threading.Event()

    def call() -> None:
        with in_flight.call():
            began.set()

    caller = threading.Thread(target=call)
    caller.start()
    assert not began.wait(0.2)
    go_on.set()
    assert began.wait(10)
    caller.join()
    in_flight.close()


def test_a_closed_model_is_not_idle() -> None:
    idle: list[None] = []
    in_flight = InFlight(lambda: idle.append(None), 0.1)
    with in_flight.call():
        pass
    in_flight.close()
    with in_flight.call():
        pass
    time.sleep(0.3)
    assert not idle


def test_a_call_succeeds_without_a_free_thread_and_the_next_one_starts_the_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = threading.Event()
    in_flight = InFlight(idle.set, 0.01)

    def start(self: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Timer, "start", start)
        with in_flight.call():
            pass
    assert not idle.wait(0.1)
    with in_flight.call():
        pass
    assert idle.wait(10)
    in_flight.close()
