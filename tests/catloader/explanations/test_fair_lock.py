"""FairLock: one holder at a time, and callers that retry constantly do not lock out others."""

from __future__ import annotations

from collections import Counter

from catloader.explanations.fair_lock import FairLock

ANNA, BEN, CLEO = 1, 2, 3


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_one_holder_at_a_time() -> None:
    lock = FairLock(6)
    assert lock.acquire(ANNA)
    assert lock.locked
    assert not lock.acquire(ANNA)
    assert not lock.acquire(BEN)
    lock.release()
    assert not lock.locked


def test_a_lone_caller_may_acquire_again_at_once() -> None:
    lock = FairLock(6)
    for _ in range(3):
        assert lock.acquire(ANNA)
        assert not lock.acquire(ANNA)
        lock.release()


def test_rejected_caller_is_next_unless_it_gave_up() -> None:
    clock = Clock()
    lock = FairLock(6, clock)
    assert lock.acquire(ANNA)
    assert not lock.acquire(BEN)
    assert not lock.acquire(CLEO)
    lock.release()
    clock.now_s += 5.9
    assert not lock.acquire(ANNA)
    assert not lock.acquire(CLEO), "Ben was rejected before her, so he is next"
    clock.now_s += 0.2
    assert not lock.acquire(ANNA), "Cleo is next: she has retried, and Ben has lost his place"
    assert lock.acquire(CLEO)


def test_three_persistent_callers_get_equal_shares() -> None:
    clock = Clock()
    lock = FairLock(6, clock)
    acquired: Counter[int] = Counter()
    for _ in range(60):
        # Anna always tries first and Cleo last.
        acquired[next(caller for caller in (ANNA, BEN, CLEO) if lock.acquire(caller))] += 1
        for caller in (ANNA, BEN, CLEO):
            assert not lock.acquire(caller)
        lock.release()
        clock.now_s += 3
    assert all(19 <= acquired[caller] <= 21 for caller in (ANNA, BEN, CLEO))
