"""Leases of claimed photos are renewed, except those of a check that hangs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import pytest

from checker.errors import StoreUnavailable
from checker.heartbeat import Heartbeat
from checker.values import Claim
from tests.support.fakes import RecordingQueue, claim_of

_LEASE_S = 1.0


class _Beats(RecordingQueue):
    """Counts renewals, and fails the first ones."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__(lease_s=_LEASE_S)
        self._failures = failures
        self.renewed = threading.Semaphore(0)
        self.sizes: list[int] = []

    def renew(self, claims: Sequence[Claim]) -> None:
        if self._failures:
            self._failures -= 1
            raise StoreUnavailable("the database is away")
        super().renew(claims)
        self.sizes.append(len(claims))
        self.renewed.release()


def _claimed(queue: RecordingQueue) -> Claim:
    queue.add(1, claim_of(1).photo_key, claim_of(1).thumbnail_key)
    (claim,) = queue.claim(1)
    return claim


def test_lease_is_renewed_while_the_photo_is_in_hand_and_no_longer() -> None:
    queue = _Beats()
    in_hand = {_claimed(queue): time.monotonic()}
    heartbeat = Heartbeat(queue, in_hand, threading.Lock())
    try:
        for _ in range(6):  # as long as two leases
            assert queue.renewed.acquire(timeout=60)
        assert queue.claim(1) == []
        in_hand.clear()
        assert _wait_for_claim(queue)
        assert 0 not in queue.sizes, "an idle checker asks the database for nothing"
    finally:
        heartbeat.close()


def test_failed_renewal_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    queue = _Beats(failures=1)
    in_hand = {_claimed(queue): time.monotonic()}
    heartbeat = Heartbeat(queue, in_hand, threading.Lock())
    try:
        assert queue.renewed.acquire(timeout=60)
    finally:
        heartbeat.close()
    assert "could not be renewed: the database is away" in caplog.text


def test_photo_of_a_hanging_check_goes_to_another_checker(caplog: pytest.LogCaptureFixture) -> None:
    queue = _Beats()
    hanging = _claimed(queue)
    with caplog.at_level(logging.ERROR):
        heartbeat = Heartbeat(queue, {hanging: time.monotonic() - 100}, threading.Lock(), longest_hold_s=99)
        try:
            assert _wait_for_claim(queue)
        finally:
            heartbeat.close()
    assert caplog.text.count("the check of these photos hangs (1)") == 1


def _wait_for_claim(queue: RecordingQueue) -> bool:
    waiting = threading.Event()
    return any(queue.claim(1) or waiting.wait(0.05) for _ in range(1200))
