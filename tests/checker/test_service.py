"""The service: nothing is lost, nothing waits for long, and it ends when it is told to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from checker.errors import ClassifierFailed, ModelRefused, StoreUnavailable
from checker.ports import Claim
from checker.service import CheckerService, LoadedModel
from models.errors import WeightsMissing
from tests.support.fakes import MemoryQueue, MemorySource, StubClassifier, StubRule

NEVER_S = 1000.0


class Rig:
    """A service with the ends that a test turns."""

    def __init__(self) -> None:
        self.source = MemorySource()
        self.queue = MemoryQueue(self.source)
        self.classifier = StubClassifier()
        self.rule = StubRule()
        self.loads = 0
        self.services: list[CheckerService] = []

    def load(self) -> LoadedModel:
        self.loads += 1
        return LoadedModel(self.classifier, self.rule)

    def service(
        self,
        load: Callable[[], LoadedModel] | None = None,
        *,
        workers: int = 2,
        batch_photos: int = 4,
        sweep_s: float = NEVER_S,
    ) -> CheckerService:
        service = CheckerService(
            self.queue,
            self.source,
            load or self.load,
            workers=workers,
            batch_photos=batch_photos,
            sweep_s=sweep_s,
        )
        self.services.append(service)
        return service

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.put(number)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    for service in rig.services:
        service.close(5)
    assert not [t.name for t in threading.enumerate() if t.name == "checker" and t.is_alive()]


def numbers(rig: Rig) -> list[int]:
    return sorted(outcome.claim.photo_id for outcome in rig.queue.outcomes)


def test_drain_checks_all_that_waits_once_and_counts_it(rig: Rig) -> None:
    rig.put(*range(23))
    assert rig.service().drain() == 23
    assert numbers(rig) == list(range(23))
    assert rig.services[0].drain() == 0
    assert rig.loads == 1
    assert max(rig.classifier.batches) <= 8


def test_start_takes_what_waited_and_wake_what_comes(rig: Rig) -> None:
    rig.put(0, 1)
    service = rig.service()
    service.start()
    assert rig.queue.finished(2)
    assert service.ready.is_set()
    for number in range(2, 12):
        rig.put(number)
        service.wake()
    assert rig.queue.finished(12)
    assert numbers(rig) == list(range(12))


def test_a_wake_up_just_before_a_worker_rests_is_not_lost(rig: Rig) -> None:
    """It comes when the worker has seen an empty queue and has not yet said so."""

    class Late(MemoryQueue):
        def claim(self, limit: int) -> Sequence[Claim]:
            claims = super().claim(limit)
            if self.claims == 1:
                self.put(0)
                rig.services[0].wake()
                threading.Event().wait(0.3)  # long enough for the wake-up to find every worker busy
            return claims

    rig.queue = Late(rig.source)
    rig.service(workers=1).start()
    assert rig.queue.finished(1, timeout_s=5)


def test_a_stream_of_photos_and_wake_ups_loses_none(rig: Rig) -> None:
    service = rig.service(workers=2)
    service.start()
    for number in range(60):
        rig.put(number)
        service.wake()
        if number % 3 == 0:
            assert rig.queue.finished(number + 1)
    assert rig.queue.finished(60)


def test_wake_never_waits_even_when_all_are_busy(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    service = rig.service()
    service.start()
    rig.put(*range(40))
    service.wake()
    assert rig.classifier.running.wait(10)
    claims_before = rig.queue.claims
    started_s = time.monotonic()
    for _ in range(1000):
        service.wake()
    assert time.monotonic() - started_s < 1
    rig.classifier.gate.set()
    assert rig.queue.finished(40)
    # Coalesced: a thousand wake-ups are not a thousand looks at the queue.
    assert rig.queue.claims - claims_before < 100


def test_a_resting_worker_is_woken_beside_a_busy_one(rig: Rig) -> None:
    """Otherwise half of the machine would idle for as long as there is always something to do."""
    rig.classifier.gate = threading.Event()
    service = rig.service(workers=2, batch_photos=1)
    service.start()
    rig.put(0)
    service.wake()
    assert rig.classifier.running.wait(10)
    rig.classifier.running.clear()
    rig.put(1)
    service.wake()
    assert rig.classifier.running.wait(10)
    assert len(rig.classifier.batches) == 2
    rig.classifier.gate.set()
    assert rig.queue.finished(2)


def test_the_sweep_finds_what_nobody_announced(rig: Rig) -> None:
    service = rig.service(sweep_s=0.05)
    service.start()
    assert service.ready.wait(10)
    rig.put(0)
    assert rig.queue.finished(1)


def test_the_next_due_photo_is_not_left_for_the_sweep(rig: Rig) -> None:
    class Due(MemoryQueue):
        def next_due_s(self) -> float | None:
            return 0.3 if self.waiting else None

    rig.queue = Due(rig.source)
    rig.put(0)
    looks = iter([True])  # the first look comes too early: the photo is not due yet
    first = rig.queue.claim
    rig.queue.claim = lambda limit: [] if next(looks, None) else first(limit)  # type: ignore[method-assign]
    rig.service(workers=1).start()
    assert rig.queue.finished(1)


def test_no_more_is_claimed_than_fits_in_memory(rig: Rig) -> None:
    rig.put(*range(60))
    rig.service(workers=2, batch_photos=4).drain()
    assert rig.queue.largest <= 2 * 2 * 4


def test_the_next_batch_is_fetched_during_the_forward_pass(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    rig.put(*range(8))
    service = rig.service(workers=1, batch_photos=4)
    service.start()
    assert rig.classifier.running.wait(10)
    rig.source.fetching.clear()
    # The first batch hangs in the network; the second one is claimed and its fetch has begun or is done.
    assert rig.queue.wait_until(lambda queue: len(queue.held) == 8)
    assert service.state()["photos_in_hand"] == 8
    rig.classifier.gate.set()
    assert rig.queue.finished(8)


def test_photos_wait_while_the_network_loads(rig: Rig) -> None:
    gate = threading.Event()

    def slowly() -> LoadedModel:
        assert gate.wait(30)
        return rig.load()

    service = rig.service(slowly)
    rig.put(0)
    service.start()
    service.wake()
    assert service.state() == {"state": "loading"}
    assert rig.queue.claims == 0
    gate.set()
    assert rig.queue.finished(1)
    assert service.state() == {
        "state": "ready",
        "model": "stub",
        "runtime": "torch",
        "precision": "fp32",
        "device": "cpu",
        "photos_in_hand": 0,
    }


@pytest.mark.parametrize("error", [ModelRefused("digest differs"), WeightsMissing("digest differs")])
def test_a_refused_network_leaves_the_photos_alone(
    rig: Rig, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> LoadedModel:
        rig.loads += 1
        raise error

    service = rig.service(refuse, sweep_s=0.01)
    rig.put(0)
    service.start()
    for _ in range(3):
        service.wake()
        with pytest.raises(ModelRefused, match="digest differs"):
            service.drain()
    assert service.state() == {"state": "refused", "reason": "digest differs"}
    assert not service.ready.is_set()
    assert rig.loads == 1
    assert rig.queue.claims == 0
    assert caplog.text.count("nothing will be checked, photos wait: digest differs") == 1


def test_whatever_breaks_the_loading_is_a_refusal(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> LoadedModel:
        raise ImportError("libcudart is missing")

    service = rig.service(broken)
    with pytest.raises(ModelRefused, match="could not be loaded: libcudart is missing"):
        service.drain()
    assert service.state()["state"] == "refused"
    assert "Traceback" in caplog.text


def test_one_bad_photo_costs_only_itself(rig: Rig) -> None:
    rig.put(0, 1, 2)
    rig.queue.put(3, b"not a picture")
    rig.put(4)
    assert rig.service().drain() == 5
    by_number = {outcome.claim.photo_id: outcome for outcome in rig.queue.outcomes}
    assert [by_number[n].unreadable for n in range(5)] == [False, False, False, True, False]


@pytest.mark.parametrize("what", ["store", "network"])
def test_when_the_machine_fails_photos_go_back_with_their_attempts(
    rig: Rig, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = StoreUnavailable("S3 does not answer") if what == "store" else None
    for number in range(12):
        rig.queue.put(number, away)
    if what == "network":
        rig.classifier.most, rig.classifier.fails = 0, ClassifierFailed("the GPU is lost")
    service = rig.service(workers=1, batch_photos=4)
    assert service.drain() == 0
    assert rig.queue.outcomes == []
    assert sorted(rig.queue.waiting) == [(number, 0) for number in range(12)]
    assert len(rig.queue.released) <= 8  # it does not go through the whole backlog to learn that
    assert "go back to the queue" in caplog.text
    for number in range(12):
        rig.source.add(number)
    rig.classifier.fails = None
    assert service.drain() == 12
    assert {outcome.claim.attempt for outcome in rig.queue.outcomes} == {1}


def test_the_sweep_tries_again_after_the_store_was_away(rig: Rig) -> None:
    rig.queue.put(0, StoreUnavailable("S3 does not answer"))
    service = rig.service(sweep_s=0.05)
    service.start()
    assert rig.queue.wait_until(lambda queue: len(queue.released) >= 2)
    rig.source.add(0)
    assert rig.queue.finished(1)


def test_one_photo_whose_store_fails_does_not_stop_the_others(rig: Rig) -> None:
    rig.put(0, 1)
    rig.queue.put(2, StoreUnavailable("that shard is down"))
    rig.put(3, 4, 5)
    assert rig.service(workers=1).drain() == 5
    bad = next(outcome for outcome in rig.queue.outcomes if outcome.claim.photo_id == 2)
    assert bad.retryable


def test_a_missing_object_counts_as_an_attempt(rig: Rig) -> None:
    rig.put(0)
    rig.source.objects.clear()
    assert rig.service().drain() == 0
    assert [outcome.retryable for outcome in rig.queue.outcomes] == [True]


@pytest.mark.parametrize("error", [StoreUnavailable("the database is away"), ValueError("a bug")])
@pytest.mark.parametrize("method", ["claim", "finish"])
def test_a_queue_that_fails_ends_the_drain_and_the_next_one_works(
    rig: Rig, method: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    rig.put(*range(8))

    def fail(name: str) -> None:
        if name == method:
            raise error

    rig.queue.fails = fail
    service = rig.service(workers=1)
    assert service.drain() == 0
    assert str(error) in caplog.text
    rig.queue.fails = lambda _: None
    left = len(rig.queue.waiting)
    assert service.drain() == left
    if method == "claim":
        assert left == 8


def test_an_outcome_that_comes_too_late_is_not_counted(rig: Rig) -> None:
    rig.put(0, 1)
    rig.classifier.gate = threading.Event()
    service = rig.service(workers=1)
    service.start()
    assert rig.classifier.running.wait(10)
    lost = next(iter(rig.queue.held))
    del rig.queue.held[lost]  # its lease ran out, and somebody else has it now
    rig.classifier.gate.set()
    assert rig.queue.finished(1)
    assert service.drain() == 0
    assert len(rig.queue.outcomes) == 1


def test_close_finishes_what_is_at_work_and_gives_the_rest_back(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    rig.put(*range(20))
    service = rig.service(workers=1, batch_photos=4)
    service.start()
    assert rig.classifier.running.wait(10)
    assert rig.queue.wait_until(lambda queue: len(queue.held) == 8)
    threading.Timer(0.2, rig.classifier.gate.set).start()
    service.close(10)
    assert numbers(rig) == [0, 1, 2, 3]
    assert sorted(claim.photo_id for claim in rig.queue.released) == [4, 5, 6, 7]
    assert rig.queue.held == {}
    assert rig.classifier.closed
    assert service.state() == {"state": "closed"}


def test_close_ends_in_time_though_the_network_hangs(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    rig.put(*range(8))
    service = rig.service(workers=1, batch_photos=4)
    service.start()
    assert rig.classifier.running.wait(10)
    assert rig.queue.wait_until(lambda queue: len(queue.held) == 8)
    calls: list[str] = []
    rig.queue.fails = calls.append
    started_s = time.monotonic()
    service.close(0.3)
    assert time.monotonic() - started_s < 2
    assert rig.queue.held == {}
    assert {claim.photo_id for claim in rig.queue.released} == set(range(8))
    assert not rig.classifier.closed  # somebody is still in it
    rig.classifier.gate.set()
    service.close(10)
    assert rig.classifier.closed  # now everybody is out
    assert calls == ["release"]  # what was given back is not written any more


def test_close_is_quick_when_nothing_happens_and_may_come_twice(rig: Rig) -> None:
    service = rig.service()
    service.start()
    assert service.ready.wait(10)
    started_s = time.monotonic()
    service.close(5)
    service.close(5)
    assert time.monotonic() - started_s < 1
    service.wake()
    rig.put(0)
    assert service.drain() == 0
    service.start()
    assert rig.queue.outcomes == []


def test_close_before_the_network_is_loaded(rig: Rig) -> None:
    gate = threading.Event()

    def slowly() -> LoadedModel:
        gate.wait(30)
        return rig.load()

    service = rig.service(slowly)
    rig.put(0)
    service.start()
    started_s = time.monotonic()
    service.close(0.2)
    assert time.monotonic() - started_s < 2
    gate.set()
    service.close(10)
    assert rig.queue.claims == 0


def test_the_log_tells_an_operator_what_happened(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "checker")
    rig.put(0, 1, 2)
    rig.queue.put(3, b"not a picture")
    rig.service().drain()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("stub is loaded after 0.0 s (torch fp32 on cpu, weights 00000000)")
    assert "photo 3: This is not a photo" in lines[1]
    assert lines[2].startswith("checked 4 photos in ")
    assert lines[2].endswith("ms each): 3 cat, 1 unreadable")
    assert len(lines) == 3


def test_several_drains_at_once_check_each_photo_once(rig: Rig) -> None:
    rig.put(*range(50))
    service = rig.service()
    threads = [threading.Thread(target=service.drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert numbers(rig) == list(range(50))
    assert rig.loads == 1
    assert rig.queue.largest <= 2 * 2 * 4  # one pool, however many ask
