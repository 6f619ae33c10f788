"""The contract of ``ports.CheckQueue``: each implementation runs these tests in a subclass."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import pytest

from checker.ports import CheckQueue
from checker.values import Claim, Decision, Label, ModelInfo, Outcome, Rendition, Verdict

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class LogEntry(NamedTuple):
    photo_id: int
    attempt: int
    verdict: str | None
    error: str | None


class QueueUnderTest(Protocol):
    """A queue without photos, and access to its rows. Lease 60 s, 3 attempts, backoff 10 s."""

    @property
    def clock(self) -> Clock: ...

    @property
    def queue(self) -> CheckQueue: ...

    def other(self, *, max_attempts: int, backoff_s: float) -> CheckQueue:
        """Return a queue with other settings over the same photos."""
        ...

    def add(self, count: int, due: datetime = START) -> list[int]:
        """Add pending photos; return their ids in ascending order."""
        ...

    def keys(self, photo_id: int) -> tuple[str, str]:
        """Return the keys of photo and thumbnail."""
        ...

    def delete(self, photo_id: int) -> None: ...

    def status(self, photo_id: int) -> str: ...

    def log(self) -> list[LogEntry]: ...


def decided(claim: Claim, verdict: Verdict = Verdict.CAT) -> Outcome:
    return Outcome(
        claim=claim,
        decision=Decision(
            verdict=verdict,
            score=0.9,
            cat_at=0.05,
            not_cat_below=0.01,
            subject="house_cat",
            profile_id="lite0-abc",
            reason=None,
            wild_feline=False,
            labels={
                Rendition.PHOTO: (Label(281, "tabby", 0.8), Label(285, "Egyptian cat", 0.1)),
                Rendition.THUMBNAIL: (Label(282, "tiger cat", 0.7),),
            },
            subject_scores={Rendition.PHOTO: {"tabby": 0.8}, Rendition.THUMBNAIL: {"tiger cat": 0.7}},
            turned_deg=270,
        ),
        model_info=ModelInfo("lite0", 64 * "c", "torch", "fp32", "cpu", {"torch": "2.15.0"}),
        photo_sha256=64 * "d",
        thumbnail_sha256=64 * "e",
        batch_size=8,
        ms={"fetch": 1.5, "total": 20.25},
    )


def failed(claim: Claim, *, retryable: bool = False, unreadable: bool = False) -> Outcome:
    return Outcome(claim=claim, error="It did not work.", retryable=retryable, unreadable=unreadable)


class CheckQueueContract:
    """Tests for every implementation; a subclass provides the fixture ``case``."""

    @abstractmethod
    def case(self) -> QueueUnderTest: ...

    def test_claim_returns_due_photos_longest_due_first_and_only_once(self, case: QueueUnderTest) -> None:
        (late,), (early,), (future,) = (case.add(1, START + timedelta(seconds=s)) for s in (-1, -5, 5))
        claims = case.queue.claim(10)
        assert [(claim.photo_id, claim.attempt) for claim in claims] == [(early, 1), (late, 1)]
        assert [(claim.photo_key, claim.thumbnail_key) for claim in claims] == [
            case.keys(early),
            case.keys(late),
        ]
        assert [case.status(id) for id in (early, late, future)] == ["checking", "checking", "pending"]
        assert list(case.queue.claim(10)) == []

    def test_claim_returns_at_most_the_limit(self, case: QueueUnderTest) -> None:
        case.add(5)
        assert [len(case.queue.claim(n)) for n in (0, 2, 2, 2)] == [0, 2, 2, 1]

    @pytest.mark.parametrize("verdict", [Verdict.CAT, Verdict.UNSURE, Verdict.NOT_CAT])
    def test_every_verdict_is_final_and_logged_once(self, case: QueueUnderTest, verdict: Verdict) -> None:
        (id,) = case.add(1)
        (claim,) = case.queue.claim(1)
        assert case.queue.finish([decided(claim, verdict)]) == [True]
        assert case.status(id) == verdict
        assert case.log() == [(id, 1, verdict, None)]
        assert case.queue.next_due_s() is None
        assert list(case.queue.claim(1)) == []

    def test_finish_returns_a_result_for_each_outcome_in_the_given_order(self, case: QueueUnderTest) -> None:
        ids = case.add(4)
        claims = {claim.photo_id: claim for claim in case.queue.claim(4)}
        unreadable, cat, lost, retried = (claims[id] for id in ids)
        outcomes = [
            decided(replace(lost, token="of another checker")),
            decided(cat),
            failed(retried, retryable=True),
            failed(unreadable, unreadable=True),
        ]
        assert case.queue.finish(outcomes) == [False, True, True, True]
        assert [case.status(id) for id in ids] == ["unreadable", "cat", "checking", "pending"]
        assert {entry.photo_id: entry.verdict for entry in case.log()} == {
            unreadable.photo_id: "unreadable",
            cat.photo_id: "cat",
            retried.photo_id: None,
        }
        assert case.queue.finish([]) == []

    def test_retryable_error_waits_twice_as_long_each_time_then_fails(self, case: QueueUnderTest) -> None:
        (id,) = case.add(1)
        for attempt, wait_s in ((1, 10), (2, 20)):
            (claim,) = case.queue.claim(1)
            assert claim.attempt == attempt
            assert case.queue.finish([failed(claim, retryable=True)]) == [True]
            assert case.status(id) == "pending"
            assert case.queue.next_due_s() == wait_s
            case.clock.advance(wait_s - 0.001)
            assert list(case.queue.claim(1)) == []
            case.clock.advance(0.001)
        (claim,) = case.queue.claim(1)
        case.queue.finish([failed(claim, retryable=True)])
        assert case.status(id) == "failed"
        assert case.log() == [(id, n, None, "It did not work.") for n in (1, 2, 3)]

    def test_photo_that_defeats_the_decoder_is_unreadable_after_its_last_attempt(
        self, case: QueueUnderTest
    ) -> None:
        (id,) = case.add(1)
        for _ in range(3):
            assert case.status(id) == "pending"
            (claim,) = case.queue.claim(1)
            assert case.queue.finish([failed(claim, retryable=True, unreadable=True)]) == [True]
            case.clock.advance(case.queue.next_due_s() or 0)
        assert case.status(id) == "unreadable"
        assert [entry.verdict for entry in case.log()] == [None, None, "unreadable"]

    def test_backoff_is_at_most_an_hour(self, case: QueueUnderTest) -> None:
        queue = case.other(max_attempts=100, backoff_s=3000)
        case.add(1)
        for _ in range(3):
            (claim,) = queue.claim(1)
            queue.finish([failed(claim, retryable=True)])
            case.clock.advance(queue.next_due_s() or 0)
        assert case.clock.now == START + timedelta(seconds=3000 + 3600 + 3600)
        (claim,) = queue.claim(1)
        queue.finish([failed(replace(claim, attempt=99), retryable=True)])
        assert queue.next_due_s() == 3600

    @pytest.mark.parametrize(
        ("outcome", "status", "verdict"),
        [
            (lambda claim: failed(claim, unreadable=True), "unreadable", "unreadable"),
            (failed, "failed", None),
        ],
    )
    def test_error_that_is_not_retryable_is_final(
        self, case: QueueUnderTest, outcome: Callable[[Claim], Outcome], status: str, verdict: str | None
    ) -> None:
        (id,) = case.add(1)
        (claim,) = case.queue.claim(1)
        assert case.queue.finish([outcome(claim)]) == [True]
        assert case.status(id) == status
        assert case.log() == [(id, 1, verdict, "It did not work.")]
        assert case.queue.next_due_s() is None

    def test_expired_lease_makes_the_photo_claimable_again(self, case: QueueUnderTest) -> None:
        (id,) = case.add(1)
        (old,) = case.queue.claim(1)
        assert case.queue.begin([old]) == [True]
        case.clock.advance(60)
        assert list(case.queue.claim(1)) == []
        assert case.queue.next_due_s() == 0
        case.clock.advance(1)
        (new,) = case.queue.claim(1)
        assert (new.photo_id, new.attempt) == (id, 2)
        assert new.token != old.token
        assert case.log() == [(id, 1, None, "The checker stopped in the middle of this photo once.")]

    def test_stale_token_writes_nothing(self, case: QueueUnderTest) -> None:
        (id,) = case.add(1)
        (old,) = case.queue.claim(1)
        case.clock.advance(61)
        (new,) = case.queue.claim(1)
        before = (case.status(id), case.log(), case.queue.next_due_s())
        assert case.queue.finish([decided(old, Verdict.NOT_CAT)]) == [False]
        assert case.queue.finish([failed(old, retryable=True)]) == [False]
        case.queue.release([old])
        assert (case.status(id), case.log(), case.queue.next_due_s()) == before
        assert case.queue.finish([decided(new)]) == [True]
        assert case.queue.finish([decided(new, Verdict.NOT_CAT)]) == [False]
        assert case.status(id) == "cat"

    def test_photo_deleted_after_the_claim_is_not_an_error(self, case: QueueUnderTest) -> None:
        (id,) = case.add(1)
        (claim,) = case.queue.claim(1)
        case.delete(id)
        assert case.queue.finish([decided(claim)]) == [False]
        case.queue.release([claim])
        assert case.log() == []
        assert case.queue.next_due_s() is None

    def test_photo_that_kills_its_checker_fails_after_all_attempts(self, case: QueueUnderTest) -> None:
        deadly, harmless = case.add(2)
        for _ in range(3):
            claims = {claim.photo_id: claim for claim in case.queue.claim(2)}
            assert case.queue.begin([claims[deadly]]) == [True]
            case.clock.advance(61)
        (claim,) = case.queue.claim(5)
        assert (claim.photo_id, claim.attempt) == (harmless, 1)  # claimed by the same checker each time
        assert case.status(deadly) == "failed"
        assert [(entry.photo_id, entry.attempt, entry.error) for entry in case.log()] == [
            (deadly, attempt, f"The checker stopped in the middle of this photo {times}.")
            for attempt, times in ((1, "once"), (2, "2 times"), (3, "3 times"))
        ]

    def test_attempt_that_was_lost_is_counted_and_logged_once(self, case: QueueUnderTest) -> None:
        """A later claim that also expires, but before its attempt began, is neither counted nor logged."""
        (id,) = case.add(1)
        assert case.queue.begin(case.queue.claim(1)) == [True]
        for _ in range(3):
            case.clock.advance(61)
            assert [(claim.photo_id, claim.attempt) for claim in case.queue.claim(1)] == [(id, 2)]
        assert [entry.attempt for entry in case.log()] == [1]

    def test_release_counts_no_attempt(self, case: QueueUnderTest) -> None:
        ids = case.add(3)
        claims = case.queue.claim(3)
        case.queue.begin([claims[1]])
        case.queue.release(claims[:2])
        assert [case.status(id) for id in ids] == ["pending", "pending", "checking"]
        assert [(c.photo_id, c.attempt) for c in case.queue.claim(3)] == [(ids[0], 1), (ids[1], 1)]
        case.queue.release([])
        assert case.log() == []

    def test_attempt_counts_once_whether_begun_or_not(self, case: QueueUnderTest) -> None:
        case.add(2)
        begun, not_begun = case.queue.claim(2)
        case.queue.begin([begun])
        case.queue.finish([failed(begun, retryable=True), failed(not_begun, retryable=True)])
        case.clock.advance(10)
        assert [claim.attempt for claim in case.queue.claim(2)] == [2, 2]

    def test_begin_returns_the_claims_that_still_hold(self, case: QueueUnderTest) -> None:
        case.add(3)
        lost, *held = case.queue.claim(3)
        case.clock.advance(50)
        assert case.queue.begin(held) == [True, True]
        case.clock.advance(11)
        (new,) = case.queue.claim(3)  # begin renewed the leases of the others
        assert (new.photo_id, new.attempt) == (lost.photo_id, 1)
        assert case.queue.begin([lost, held[0]]) == [False, True]
        assert case.queue.begin([new]) == [True]
        assert case.queue.begin([]) == []

    def test_renewed_lease_does_not_expire(self, case: QueueUnderTest) -> None:
        case.add(2)
        renewed, left_alone = case.queue.claim(2)
        for _ in range(5):
            case.clock.advance(50)
            case.queue.renew([renewed])
        assert [claim.photo_id for claim in case.queue.claim(2)] == [left_alone.photo_id]
        assert case.queue.finish([decided(renewed)]) == [True]
        case.queue.renew([])

    def test_lost_claim_is_not_renewed(self, case: QueueUnderTest) -> None:
        case.add(1)
        (old,) = case.queue.claim(1)
        case.clock.advance(61)
        case.queue.claim(1)
        case.clock.advance(30)
        case.queue.renew([old])
        assert case.queue.next_due_s() == 30
        assert case.queue.lease_s == 60

    def test_next_due_is_the_first_pending_photo_or_lease(self, case: QueueUnderTest) -> None:
        assert case.queue.next_due_s() is None
        case.add(3, START + timedelta(seconds=7))
        assert case.queue.next_due_s() == 7
        case.clock.advance(8)
        assert case.queue.next_due_s() == 0
        case.queue.claim(3)
        assert case.queue.next_due_s() == 60

    def test_many_threads_claim_every_photo_once(self, case: QueueUnderTest) -> None:
        ids = case.add(200)

        def check_all(_: int) -> Sequence[int]:
            checked = []
            while claims := case.queue.claim(7):
                for claim in claims:
                    assert case.queue.finish([failed(claim)]) == [True]
                    checked.append(claim.photo_id)
            return checked

        with ThreadPoolExecutor(4) as pool:
            checked = [id for part in pool.map(check_all, range(4)) for id in part]
        assert Counter(checked) == Counter(ids)
        assert Counter(entry.photo_id for entry in case.log()) == Counter(ids)
