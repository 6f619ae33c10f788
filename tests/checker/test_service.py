"""The service checks every photo, promptly and once, and closes in time."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from checker.errors import (
    CheckerError,
    ClassifierFailed,
    ModelRefused,
    NotReady,
    ObjectMissing,
    ObjectRefused,
    StoreUnavailable,
)
from checker.pipeline import LoadedModel
from checker.pixels.decode import decode_each
from checker.service import CheckerService, Successors
from checker.values import INPUTS_PER_PHOTO, Claim, Outcome, Pixels, Rendition
from checker.workers import Workers
from models.catalogue import Preprocessing
from models.errors import WeightsMissing
from tests.support.fakes import FaultySource, RecordingQueue, StubClassifier, StubRule, claim_of, photo
from tests.support.interrupts import ctrl_c_when_locked

NEVER_S = 1000.0

pytestmark = pytest.mark.timeout(120)


class Rig:
    """A service with an in-memory queue and source, a stub model and a stub rule."""

    def __init__(self) -> None:
        self.source = FaultySource()
        self.queue = RecordingQueue()
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
        successors: Successors | None = None,
        workers: int = 2,
        batch_photos: int = 4,
        sweep_s: float = NEVER_S,
    ) -> CheckerService:
        service = CheckerService(
            self.queue,
            self.source,
            load or self.load,
            successors=successors,
            workers=workers,
            batch_photos=batch_photos,
            sweep_s=sweep_s,
        )
        self.services.append(service)
        return service

    def put(self, *numbers: int, data: bytes | None = None, error: Exception | None = None) -> None:
        """Upload photos: store them, then add them to the queue."""
        for number in numbers:
            self.source.add(number, data)
            if error is not None:
                self.source.errors[number] = error
            claim = claim_of(number)
            self.queue.add(number, claim.photo_key, claim.thumbnail_key)


@pytest.fixture
def rig() -> Iterator[Rig]:
    before = set(threading.enumerate())
    rig = Rig()
    yield rig
    for service in rig.services:
        service.close(60)
    for thread in set(threading.enumerate()) - before:
        if thread.name in ("checker", "heartbeat"):
            thread.join(60)
            assert not thread.is_alive(), thread.name


def numbers(rig: Rig) -> list[int]:
    """Return the ids of the photos that have an outcome."""
    return sorted(outcome.claim.photo_id for outcome in rig.queue.log)


def test_drain_checks_every_pending_photo_once_and_counts_them(rig: Rig) -> None:
    rig.put(*range(23))
    assert rig.service().drain() == 23
    assert numbers(rig) == list(range(23))
    assert rig.services[0].drain() == 0
    assert rig.loads == 1
    assert max(rig.classifier.batches) <= 4 * INPUTS_PER_PHOTO


@pytest.mark.timeout(60)
@pytest.mark.parametrize("skip", [0, 1], ids=["to wake the workers", "to wait for them"])
def test_ctrl_c_while_drain_acquires_its_lock_keeps_the_workers_running(rig: Rig, skip: int) -> None:
    rig.put(*range(23))
    rig.classifier.gate = threading.Event()
    with pytest.raises(KeyboardInterrupt), ctrl_c_when_locked("drain", rig.classifier.gate.set, skip=skip):
        rig.service().drain()
    assert rig.queue.finished(23)


def test_start_checks_the_backlog_and_wake_checks_new_photos(rig: Rig) -> None:
    rig.put(0, 1)
    service = rig.service()
    for _ in range(2):
        service.start()
    assert [thread.name for thread in threading.enumerate()].count("checker") == 1
    assert rig.queue.finished(2)
    assert service.ready.is_set()
    for number in range(2, 12):
        rig.put(number)
        service.wake()
    assert rig.queue.finished(12)
    assert numbers(rig) == list(range(12))


def test_batches_have_the_configured_size_and_workers_the_configured_number(rig: Rig) -> None:
    rig.put(*range(9))
    rig.classifier.gate = threading.Event()
    begun = threading.Semaphore(0)
    rig.queue.fails = lambda name: begun.release() if name == "begin" else None
    rig.service(workers=3, batch_photos=2).start()
    for _ in range(3):
        assert begun.acquire(timeout=30)
    assert not begun.acquire(timeout=0.1), "a fourth worker has begun a batch"
    rig.classifier.gate.set()
    assert rig.queue.finished(9)
    assert max(rig.classifier.batches) == 2 * INPUTS_PER_PHOTO


def test_photos_in_and_outside_the_queue_are_decoded_by_the_decoder_of_the_service(rig: Rig) -> None:
    decoded: list[int] = []

    def decode(
        photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        decoded.append(len(photos))
        return decode_each(photos, preprocessing)

    rig.put(0, 1)
    service = CheckerService(rig.queue, rig.source, rig.load, decode=decode, workers=1)
    rig.services.append(service)
    assert service.drain() == 2
    service.judge(dict.fromkeys(Rendition, photo(0)))
    assert decoded == [2, 1]


def test_wake_up_just_before_a_worker_goes_idle_is_not_lost(rig: Rig) -> None:
    """The wake-up arrives after the worker found the queue empty and before it is marked as idle."""

    class Late(RecordingQueue):
        def claim(self, limit: int) -> list[Claim]:
            claims = super().claim(limit)
            if self.claims == 1:
                rig.put(0)
                rig.services[0].wake()
                threading.Event().wait(0.3)  # the wake-up is handled meanwhile: every worker is busy
            return claims

        def next_due_s(self) -> None:
            return None  # only the wake-up leads to the photo

    rig.queue = Late()
    rig.service(workers=1).start()
    assert rig.queue.finished(1)


def test_service_is_idle_after_a_wake_up(rig: Rig) -> None:
    busy = threading.Event()

    class Counting(RecordingQueue):
        def claim(self, limit: int) -> list[Claim]:
            claims = super().claim(limit)
            if self.claims > 50:
                busy.set()
            return claims

    rig.queue = Counting()
    service = rig.service()
    service.start()
    rig.put(0)
    service.wake()
    assert rig.queue.finished(1)
    assert not busy.wait(1.0), "the service keeps polling the empty queue"


def test_stream_of_photos_and_wake_ups_loses_none(rig: Rig) -> None:
    service = rig.service(workers=2)
    service.start()
    for number in range(60):
        rig.put(number)
        service.wake()
        if number % 3 == 0:
            assert rig.queue.finished(number + 1)
    assert rig.queue.finished(60)


def test_wake_never_blocks_and_bursts_are_coalesced(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    service = rig.service()
    service.start()
    rig.put(*range(40))
    service.wake()
    assert rig.classifier.running.wait(60)
    claims_before = rig.queue.claims
    for _ in range(1000):
        service.wake()  # if it waited for the workers, it would wait a minute for the gate
    assert rig.queue.ids("pending") != []
    rig.classifier.gate.set()
    assert rig.queue.finished(40)
    assert rig.queue.claims - claims_before < 100


def test_wake_starts_an_idle_worker_while_another_is_busy(rig: Rig) -> None:
    """Otherwise half of the machine would be idle for as long as one worker always has a batch."""
    rig.classifier.gate = threading.Event()
    service = rig.service(workers=2, batch_photos=1)
    service.start()
    rig.put(0)
    service.wake()
    assert rig.classifier.running.wait(60)
    rig.classifier.running.clear()
    rig.put(1)
    service.wake()
    assert rig.classifier.running.wait(60)
    assert len(rig.classifier.batches) == 2
    rig.classifier.gate.set()
    assert rig.queue.finished(2)
    assert [outcome.error for outcome in rig.queue.log] == [None] * 2, (
        "a batch timed out while it waited for the gate"
    )


class _Looked(RecordingQueue):
    """Sets an event at each call of ``next_due_s``; the first call may raise an error."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.looked, self._error = threading.Event(), error

    def next_due_s(self) -> float | None:
        due_s = super().next_due_s()
        self.looked.set()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return due_s


@pytest.mark.parametrize("error", [None, StoreUnavailable("the database is away")])
def test_sweep_finds_photos_without_a_wake_up(rig: Rig, error: Exception | None) -> None:
    rig.queue = queue = _Looked(error)
    rig.service(sweep_s=0.05).start()
    assert queue.looked.wait(60)
    rig.put(0)
    assert rig.queue.finished(1)


def test_photo_due_before_the_next_sweep_is_checked_when_due(rig: Rig) -> None:
    due: list[datetime] = []

    class Later(RecordingQueue):
        """Gets its photo, which is due half a second later, at the first claim."""

        def claim(self, limit: int) -> list[Claim]:
            claims = super().claim(limit)
            if not due:
                due.append(datetime.now(UTC) + timedelta(seconds=0.5))
                self.add(0, claim_of(0).photo_key, claim_of(0).thumbnail_key, due[0])
            return claims

    rig.source.add(0)
    rig.queue = Later()
    rig.service(workers=1).start()
    assert rig.queue.finished(1)
    assert rig.queue.claims >= 2
    assert datetime.now(UTC) >= due[0]


def test_queue_is_read_a_little_later_if_another_process_is_about_to_claim_the_due_photo(rig: Rig) -> None:
    service = rig.service()
    assert service._next_look_s() == NEVER_S
    rig.put(0)
    assert service._next_look_s() == 0.25


def test_claimed_photos_stay_within_the_memory_bound(rig: Rig) -> None:
    rig.put(*range(60))
    rig.service(workers=2, batch_photos=4).drain()
    assert rig.queue.largest <= 2 * 2 * 4


def test_next_batch_is_fetched_during_the_forward_pass(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    rig.put(*range(8))
    service = rig.service(workers=1, batch_photos=4)
    service.start()
    assert rig.classifier.running.wait(60)
    rig.source.fetching.clear()
    # The first batch waits in the model; the second one is claimed and its fetch has begun or is done.
    assert rig.queue.wait_until(lambda: len(rig.queue.ids("checking")) == 8)
    assert service.state()["photos_in_hand"] == 8
    rig.classifier.gate.set()
    assert rig.queue.finished(8)


def test_no_photo_is_claimed_while_the_model_loads(rig: Rig) -> None:
    gate = threading.Event()

    def slowly() -> LoadedModel:
        assert gate.wait(60)
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
def test_refused_model_claims_no_photo(rig: Rig, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> LoadedModel:
        rig.loads += 1
        raise error

    service = rig.service(refuse)
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
    service.close()  # waits for the thread that logs
    assert caplog.text.count("no photo is checked until this is fixed: digest differs") == 1


def test_any_error_while_loading_is_a_refusal(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> LoadedModel:
        raise ImportError("libcudart is missing")

    service = rig.service(broken)
    with pytest.raises(ModelRefused, match="could not be loaded: libcudart is missing"):
        service.drain()
    assert service.state()["state"] == "refused"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelRefused("digest differs"), "digest differs"),
        (WeightsMissing("no weights"), "no weights"),
        (OSError("Too many open files"), "The model could not be loaded: Too many open files"),
    ],
)
def test_a_refused_model_is_loaded_again_until_it_checks(
    rig: Rig, caplog: pytest.LogCaptureFixture, error: Exception, reason: str
) -> None:
    caplog.set_level(logging.ERROR)
    third, fixed = threading.Event(), threading.Event()

    def load() -> LoadedModel:
        rig.loads += 1
        if rig.loads == 3:
            third.set()
        if fixed.is_set():
            return LoadedModel(rig.classifier, rig.rule)
        raise error

    service = rig.service(load, sweep_s=0.01)
    rig.put(0)
    service.start()
    assert third.wait(30), "the model is not loaded again"
    assert service.state() == {"state": "refused", "reason": reason}
    assert rig.queue.claims == 0
    fixed.set()
    assert rig.queue.finished(1)
    assert service.state()["state"] == "ready"
    assert service.ready.is_set()
    assert caplog.messages.count(f"no photo is checked until this is fixed: {reason}") == 1
    assert caplog.text.count("Traceback") == isinstance(error, OSError)


def test_refusal_is_logged_only_where_no_caller_reports_it(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """`check run` prints the reason itself, and an expected failure is one line."""

    def refuse() -> LoadedModel:
        raise ModelRefused("digest differs")

    with pytest.raises(ModelRefused, match="digest differs"):
        rig.service(refuse).drain()
    assert caplog.text == ""


def test_unreadable_photo_affects_no_other_one(rig: Rig) -> None:
    rig.put(0, 1, 2)
    rig.put(3, data=b"not a photo")
    rig.put(4)
    assert rig.service().drain() == 5
    by_number = {outcome.claim.photo_id: outcome for outcome in rig.queue.log}
    assert [by_number[n].unreadable for n in range(5)] == [False, False, False, True, False]


@pytest.mark.parametrize("failing", ["store", "model"])
def test_failing_machine_releases_photos_without_counting_an_attempt(
    rig: Rig, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig.put(*range(12), error=StoreUnavailable("S3 does not answer") if failing == "store" else None)
    if failing == "model":
        rig.classifier.most, rig.classifier.fails = 0, ClassifierFailed("the GPU is lost")
    service = rig.service(workers=1, batch_photos=4)
    assert service.drain() == 0
    assert rig.queue.log == []
    assert rig.queue.ids("pending") == list(range(12))
    assert len(rig.queue.released) <= 8  # the pool stops without trying the whole backlog
    assert "4 photos released" in caplog.text
    assert service._next_look_s() == NEVER_S, "the service waits for the next sweep, although photos are due"
    rig.source.errors.clear()
    rig.classifier.fails = None
    assert service.drain() == 12
    assert {outcome.claim.attempt for outcome in rig.queue.log} == {1}


def test_sweep_retries_after_a_store_outage_and_logs_it_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.put(0, error=StoreUnavailable("S3 does not answer"))
    service = rig.service(sweep_s=0.05)
    service.start()
    assert rig.queue.wait_until(lambda: len(rig.queue.released) >= 3)
    rig.source.errors.clear()
    assert rig.queue.finished(1)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["1 photo released; trying again at every sweep: S3 does not answer"]


def test_a_wake_up_does_not_end_the_pause_of_workers_that_are_not_idle_yet(rig: Rig) -> None:
    """While the store is away, each upload would lead to another failing batch."""
    rig.put(*range(8))
    workers, model = Workers(rig.queue, rig.source, workers=1, batch_photos=4), rig.load()
    calls: list[str] = []

    def wake() -> None:
        with workers.changed:
            workers.wake(model)

    def fail(name: str) -> None:
        calls.append(name)
        if calls == ["claim", "claim"]:
            raise StoreUnavailable("the database is away")
        if name == "begin":
            wake()

    rig.queue.fails = fail
    wake()
    with workers.changed:
        assert workers.changed.wait_for(lambda: workers.active == 0, 60)
    assert calls == ["claim", "claim", "begin", "finish"]
    assert len(rig.queue.ids("pending")) == 4
    assert workers.close(60)


def test_photos_that_cannot_be_released_wait_for_the_end_of_their_lease(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.put(0, error=StoreUnavailable("S3 does not answer"))

    def fail(name: str) -> None:
        if name == "release":
            raise StoreUnavailable("the database is away")

    rig.queue.fails = fail
    service = rig.service(workers=1)
    assert service.drain() == 0
    assert "1 photo kept until the lease ends: the database is away" in caplog.messages
    assert service.state()["photos_in_hand"] == 0, "or the heartbeat would keep renewing its lease"
    rig.queue.fails = lambda _: None
    rig.source.errors.clear()
    rig.queue.advance(rig.queue.lease_s + 1)
    assert service.drain() == 1


def test_store_error_of_one_photo_does_not_stop_the_others(rig: Rig) -> None:
    rig.put(0, 1)
    rig.put(2, error=StoreUnavailable("that shard is down"))
    rig.put(3, 4, 5)
    assert rig.service(workers=1).drain() == 5
    bad = next(outcome for outcome in rig.queue.log if outcome.claim.photo_id == 2)
    assert bad.retryable


def test_missing_object_counts_as_an_attempt(rig: Rig) -> None:
    rig.put(0)
    rig.source.delete(claim_of(0), Rendition.PHOTO)
    assert rig.service().drain() == 0
    assert [outcome.retryable for outcome in rig.queue.log] == [True]


def test_the_only_photo_that_the_store_refuses_finally_fails(rig: Rig) -> None:
    rig.put(0, error=ObjectRefused("refused, and gives others"))
    service = rig.service()
    for _ in range(5):
        assert rig.queue.status(0) == "pending"
        service.drain()
        rig.queue.advance(100_000)
    assert rig.queue.status(0) == "failed"
    assert [outcome.claim.attempt for outcome in rig.queue.log] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [StoreUnavailable("the database is away"), ValueError("a bug")])
@pytest.mark.parametrize("method", ["claim", "finish"])
def test_failing_queue_ends_the_drain_and_the_next_drain_works(
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
    assert service._pool.paused, "the queue would fail again at once"
    rig.queue.fails = lambda _: None
    left = len(rig.queue.ids("pending"))
    assert service.drain() == left
    if method == "claim":
        assert left == 8


def test_outcome_after_the_lease_is_not_counted(rig: Rig) -> None:
    rig.put(0, 1)
    rig.classifier.gate = threading.Event()
    service = rig.service(workers=1)
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(service.drain)
        assert rig.classifier.running.wait(60)
        rig.queue.delete(0)  # as with an expired lease, the claim no longer holds
        rig.classifier.gate.set()
        assert drained.result(60) == 1
    assert service.drain() == 0
    assert len(rig.queue.log) == 1


def test_photo_lost_before_its_decoding_is_not_decoded(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "checker")
    rig.put(0, 1)
    rig.source.gate = threading.Event()
    service = rig.service(workers=1)
    service.start()
    assert rig.source.fetching.wait(60)
    rig.queue.delete(0)
    rig.source.gate.set()
    assert rig.queue.finished(1)
    assert service.drain() == 0
    assert "ms each): 1 cat, 1 taken over by another checker" in caplog.text
    assert rig.classifier.batches == [INPUTS_PER_PHOTO]
    assert service.state()["photos_in_hand"] == 0


def test_photo_that_failed_before_is_checked_alone(rig: Rig) -> None:
    """If it stopped the checker, its neighbours are not blamed for the next time."""
    rig.put(*range(4))
    rig.queue.finish([Outcome(claim, error="It crashed.", retryable=True) for claim in rig.queue.claim(1)])
    rig.queue.advance(NEVER_S)
    assert rig.service(workers=1).drain() == 4
    assert sorted(rig.classifier.batches) == [INPUTS_PER_PHOTO, 3 * INPUTS_PER_PHOTO]


def test_photo_that_failed_before_is_not_tried_while_the_machine_fails(rig: Rig) -> None:
    rig.put(*range(4))
    rig.queue.finish([Outcome(claim, error="It crashed.", retryable=True) for claim in rig.queue.claim(1)])
    rig.queue.advance(NEVER_S)
    rig.classifier.most, rig.classifier.fails = 0, ClassifierFailed("the GPU is lost")
    calls: list[str] = []
    rig.queue.fails = calls.append
    assert rig.service(workers=1).drain() == 0
    assert calls.count("begin") == 1, "only the batch of the three other photos began"
    assert rig.queue.ids("checking") == []


@pytest.mark.parametrize("error", [StoreUnavailable("the database is away"), ValueError("a bug")])
def test_photos_of_a_failed_worker_are_released(rig: Rig, error: Exception) -> None:
    """Even those whose fetch had begun: otherwise the heartbeat would keep them forever."""
    rig.put(*range(8))

    def fail(name: str) -> None:
        if name == "begin":
            raise error

    rig.queue.fails = fail
    service = rig.service(workers=1)
    assert service.drain() == 0
    assert service.state()["photos_in_hand"] == 0
    rig.queue.fails = lambda _: None
    rig.queue.advance(rig.queue.lease_s + 1)
    assert service.drain() == 8
    assert {outcome.claim.attempt for outcome in rig.queue.log} == {1}


def test_close_finishes_the_current_batch_and_releases_the_next_one(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    rig.put(*range(20))
    service = rig.service(workers=1, batch_photos=4)
    service.start()
    assert rig.classifier.running.wait(60)
    assert rig.queue.wait_until(lambda: len(rig.queue.ids("checking")) == 8)
    closing = threading.Thread(target=lambda: service.close(60))
    closing.start()
    while not service._pool._closing:  # a batch that ends before begins another
        time.sleep(0.01)
    rig.classifier.gate.set()
    closing.join(60)
    assert numbers(rig) == [0, 1, 2, 3]
    assert sorted(claim.photo_id for claim in rig.queue.released) == [4, 5, 6, 7]
    assert rig.queue.ids("checking") == []
    assert rig.classifier.closed
    assert service.state() == {"state": "closed"}


def test_close_ends_in_time_while_the_model_hangs(rig: Rig) -> None:
    rig.classifier.gate = threading.Event()
    rig.put(*range(8))
    service = rig.service(workers=1, batch_photos=4)
    service.start()
    assert rig.classifier.running.wait(60)
    assert rig.queue.wait_until(lambda: len(rig.queue.ids("checking")) == 8)
    calls: list[str] = []
    rig.queue.fails = calls.append
    started_s = time.monotonic()
    service.close(0.3)
    assert time.monotonic() - started_s < 30  # half of the time for which the model hangs
    assert rig.queue.ids("checking") == []
    assert {claim.photo_id for claim in rig.queue.released} == set(range(8))
    assert not rig.classifier.closed  # a worker is still in it
    rig.classifier.gate.set()
    service.close(60)
    assert rig.classifier.closed
    assert calls == ["release"]  # released photos are not written afterwards


def test_close_is_quick_when_idle_and_may_be_repeated(rig: Rig) -> None:
    service = rig.service()
    service.start()
    assert service.ready.wait(60)
    started_s = time.monotonic()
    service.close(60)
    service.close(60)
    assert time.monotonic() - started_s < 30
    service.wake()
    rig.put(0)
    assert service.drain() == 0
    service.start()
    assert rig.queue.log == []


def test_closed_checker_starts_no_thread_and_claims_nothing(rig: Rig) -> None:
    before = set(threading.enumerate())
    rig.put(0)
    service = rig.service()
    service.close()
    service.start()
    assert service._thread is None
    assert service.drain() == 0
    assert set(threading.enumerate()) <= before
    assert rig.queue.claims == 0


def test_close_waits_for_the_last_look_at_the_queue(rig: Rig) -> None:
    """The caller closes the database next."""
    looking, looked = threading.Event(), threading.Event()

    class Slow(RecordingQueue):
        def next_due_s(self) -> float | None:
            looking.set()
            while service.state()["state"] != "closed":
                looked.wait(0.01)
            looked.wait(0.1)  # longer than a close that does not wait
            looked.set()
            return None

    rig.queue = Slow()
    service = rig.service()
    service.start()
    assert looking.wait(60)
    service.close(60)
    assert looked.is_set()


def test_close_before_the_model_is_loaded(rig: Rig) -> None:
    gate = threading.Event()

    def slowly() -> LoadedModel:
        assert gate.wait(60)
        return rig.load()

    service = rig.service(slowly)
    rig.put(0)
    service.start()
    started_s = time.monotonic()
    service.close(0.2)
    assert time.monotonic() - started_s < 30
    gate.set()
    service.close(60)
    assert rig.queue.claims == 0


def test_log_has_one_line_at_the_start_and_one_per_pass(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "checker")
    rig.put(0, 1, 2)
    rig.put(3, data=b"not a photo")
    rig.service().drain()
    lines = [record.getMessage() for record in caplog.records]
    begin = "checking with stub (torch fp32, cpu); weights 00000000, loaded in "
    assert re.fullmatch(re.escape(begin) + r"\d+\.\d s", lines[0])
    assert "photo 3, attempt 1: This is not a photo" in lines[1]
    assert lines[2].startswith("checked 4 photos in ")
    assert lines[2].endswith("ms each): 3 cat, 1 unreadable")
    assert len(lines) == 3


def test_log_counts_an_attempt_that_may_be_repeated_as_an_error(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "checker")
    rig.put(0)
    rig.put(1, error=ObjectMissing("The photo is not in the store."))
    rig.service().drain()
    lines = [record.getMessage() for record in caplog.records]
    assert "photo 1, attempt 1: The photo is not in the store." in lines
    assert lines[-1].endswith("ms each): 1 cat, 1 error")


def test_concurrent_drains_check_each_photo_once(rig: Rig) -> None:
    rig.put(*range(50))
    service = rig.service()
    threads = [threading.Thread(target=service.drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert numbers(rig) == list(range(50))
    assert rig.loads == 1
    assert rig.queue.largest <= 2 * 2 * 4  # one pool for all drains


class OneSuccessor:
    """Returns one model once ``made`` is set; after that it raises the error, if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made, self.closed, self.asked_again = threading.Event(), threading.Event(), threading.Event()
        self.classifier = StubClassifier()
        self.why_not_faster = "It is not made yet."
        self._error, self._handed_over = error, False

    def next(self) -> LoadedModel | None:
        if self._handed_over:
            self.asked_again.set()
            return None
        assert self.made.wait(60)
        self._handed_over = True
        if self._error is not None:
            raise self._error
        self.why_not_faster = ""
        return LoadedModel(self.classifier, StubRule())

    def close(self) -> None:
        self.closed.set()
        self.made.set()


def test_a_successor_replaces_the_model_between_two_batches(rig: Rig) -> None:
    """The current batch is finished by the previous model, which is closed after that."""
    successor = OneSuccessor()
    rig.classifier.gate, successor.classifier.gate = threading.Event(), threading.Event()
    rig.put(*range(8))
    service = rig.service(successors=successor, workers=1)
    service.start()
    assert rig.classifier.running.wait(60)
    assert service.state()["why_not_faster"] == "It is not made yet."

    successor.made.set()
    while "why_not_faster" in service.state():
        time.sleep(0.01)
    assert not rig.classifier.closed
    rig.classifier.gate.set()

    assert successor.asked_again.wait(30), "although the next batch is being classified"
    assert rig.classifier.closed and not successor.classifier.closed
    successor.classifier.gate.set()
    assert rig.queue.finished(8)
    assert (sum(rig.classifier.batches), sum(successor.classifier.batches)) == (4 * INPUTS_PER_PHOTO,) * 2
    assert numbers(rig) == list(range(8))
    service.close(60)
    assert successor.closed.is_set() and successor.classifier.closed


def test_a_failing_successor_leaves_the_previous_model_in_use(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    successor = OneSuccessor(RuntimeError("no memory"))
    service = rig.service(successors=successor)
    service.start()
    assert service.ready.wait(60)
    successor.made.set()
    rig.put(1, 2)
    service.wake()
    assert rig.queue.finished(2)
    while "no other variant takes over" not in caplog.messages:
        time.sleep(0.01)
    service.close(60)
    assert sum(rig.classifier.batches) == 2 * INPUTS_PER_PHOTO


def test_a_checker_whose_model_must_not_check_any_more_stops_until_another_one_is_loaded(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    successor = OneSuccessor(ModelRefused("no weights of the chosen model"))
    chosen, fixed, again = StubClassifier(), threading.Event(), threading.Event()

    def load() -> LoadedModel:
        rig.loads += 1
        if rig.loads == 1 or fixed.is_set():
            return LoadedModel(rig.classifier if rig.loads == 1 else chosen, rig.rule)
        again.set()
        raise ModelRefused("no weights of the chosen model")

    service = rig.service(load, successors=successor, sweep_s=0.01)
    rig.put(0)
    service.start()
    assert rig.queue.finished(1)
    successor.made.set()
    assert again.wait(30), "the chosen model is not loaded again"
    assert service.state() == {"state": "refused", "reason": "no weights of the chosen model"}
    rig.put(1)
    service.wake()
    with pytest.raises(ModelRefused, match="no weights"):
        service.drain()
    with pytest.raises(ModelRefused, match="no weights"):
        service.judge(dict.fromkeys(Rendition, photo(1)))
    assert numbers(rig) == [0]
    fixed.set()
    assert rig.queue.finished(2)
    assert successor.asked_again.wait(30), "later choices are not followed"
    assert (sum(rig.classifier.batches), sum(chosen.batches)) == (INPUTS_PER_PHOTO,) * 2
    assert rig.classifier.closed
    assert service.state()["state"] == "ready"
    refusal = "no photo is checked until this is fixed: no weights of the chosen model"
    assert caplog.messages.count(refusal) == 1


def test_a_photo_outside_the_queue_is_judged_like_one_in_the_queue(rig: Rig) -> None:
    rig.put(0)
    service = rig.service()
    with pytest.raises(NotReady):
        service.judge(dict.fromkeys(Rendition, photo(0)))
    assert service.drain() == 1
    outcome = service.judge(dict.fromkeys(Rendition, photo(0)))
    assert outcome.decision == rig.queue.log[0].decision
    assert len(rig.queue.log) == 1
    assert service.judge(dict.fromkeys(Rendition, b"no photo")).unreadable


def test_a_refused_model_judges_no_photo(rig: Rig) -> None:
    def load() -> LoadedModel:
        raise ModelRefused("The self-test failed.")

    service = rig.service(load)
    with pytest.raises(ModelRefused):
        service.drain()
    with pytest.raises(ModelRefused, match="self-test"):
        service.judge(dict.fromkeys(Rendition, photo(0)))


def test_close_waits_for_a_photo_that_is_being_judged(rig: Rig) -> None:
    service = rig.service()
    service.drain()
    rig.classifier.gate = threading.Event()
    judging = threading.Thread(target=lambda: service.judge(dict.fromkeys(Rendition, photo(0))))
    judging.start()
    assert rig.classifier.running.wait(60)
    closing = threading.Thread(target=lambda: service.close(600))
    closing.start()
    closing.join(0.2)
    assert not rig.classifier.closed
    rig.classifier.gate.set()
    closing.join(60)
    judging.join(60)
    assert rig.classifier.closed


def test_photos_that_are_claimed_while_the_service_closes_are_released(rig: Rig) -> None:
    """A slow database responds after the timeout. The photos need not wait for the end of their lease."""
    claimed, closed = threading.Event(), threading.Event()

    class Slow(RecordingQueue):
        def claim(self, limit: int) -> list[Claim]:
            claims = super().claim(limit)
            if claims:
                claimed.set()
                assert closed.wait(60)
            return claims

    rig.queue = Slow()
    rig.put(0)
    service = rig.service(workers=1)
    service.start()
    assert claimed.wait(60)
    service.close(0)
    closed.set()
    assert rig.queue.wait_until(lambda: rig.queue.status(0) == "pending", 10)
