"""In-memory twins of ``ImageSource`` and ``CheckQueue``, for tests and for bytes already in memory.

They pass the same contract tests as the sources over S3 and files and the queue over SQL
(``tests/checker/contract``). Thread-safe, within one process.
"""

from __future__ import annotations

import heapq
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from checker.errors import ObjectMissing
from checker.values import Claim, Outcome, Rendition, Verdict


class InMemoryImageSource:
    """Encoded renditions by key. Memory: the sum of the stored renditions."""

    def __init__(self) -> None:
        self._objects: dict[tuple[Rendition, str], bytes] = {}

    def put(self, claim: Claim, renditions: Mapping[Rendition, bytes]) -> None:
        """Store renditions under the claim's keys, replacing earlier ones."""
        for rendition, data in renditions.items():
            self._objects[rendition, claim.key(rendition)] = data

    def delete(self, claim: Claim, rendition: Rendition) -> None:
        """Remove one rendition; a missing rendition is not an error."""
        self._objects.pop((rendition, claim.key(rendition)), None)

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        """See ``ports.ImageSource``; raises only ``ObjectMissing``."""
        try:
            return self._objects[rendition, claim.key(rendition)]
        except KeyError as error:
            raise ObjectMissing(f"The {rendition} is not in the store.") from error


@dataclass(slots=True)
class _Photo:
    photo_key: str
    thumbnail_key: str
    due: datetime
    status: str = "pending"
    attempts: int = 0
    token: str | None = None
    lease_until: datetime | None = None
    begun: bool = False


class InMemoryCheckQueue:
    """Photos with leases, tokens, attempts and backoff, as in the database table.

    A claim and ``next_due_s`` look at every photo. Photos stay after their verdict, for ``status``.
    """

    def __init__(
        self,
        *,
        lease_s: float = 60.0,
        max_attempts: int = 3,
        backoff_s: float = 10.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.lease_s = lease_s
        self._max_attempts, self._backoff_s, self._now = max_attempts, backoff_s, now
        self._photos: dict[int, _Photo] = {}
        self._changed = threading.Condition()
        self.log: list[Outcome] = []
        """One outcome for each finished attempt, in order, including expired leases but not releases."""

    def add(self, photo_id: int, photo_key: str, thumbnail_key: str, due: datetime | None = None) -> None:
        """Add a pending photo. ``due`` None: now."""
        with self._changed:
            self._photos[photo_id] = _Photo(photo_key, thumbnail_key, due or self._now())
            self._changed.notify_all()

    def delete(self, photo_id: int) -> None:
        """Remove a photo; a claim on it becomes invalid."""
        with self._changed:
            del self._photos[photo_id]
            self._changed.notify_all()

    def status(self, photo_id: int) -> str:
        """``pending``, ``checking``, ``failed`` or the verdict."""
        return self._photos[photo_id].status

    def ids(self, status: str) -> list[int]:
        """The photos with this status, in the order in which they were added."""
        with self._changed:
            return [photo_id for photo_id, photo in self._photos.items() if photo.status == status]

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> bool:
        """Wait until a change makes ``condition()`` true; False: it was still false after ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def claim(self, limit: int) -> list[Claim]:
        """See ``ports.CheckQueue``: longest due first; expired leases end here."""
        with self._changed:
            now, token = self._now(), secrets.token_hex(16)
            self._reclaim_expired(now)
            due = (
                (photo.due, photo_id)
                for photo_id, photo in self._photos.items()
                if photo.status == "pending" and photo.due <= now
            )
            claims = []
            for _, photo_id in heapq.nsmallest(limit, due):
                photo = self._photos[photo_id]
                photo.status, photo.token, photo.begun = "checking", token, False
                photo.lease_until = self._lease_until()
                claims.append(_claim(photo_id, photo, photo.attempts + 1))
            self._changed.notify_all()
            return claims

    def begin(self, claims: Sequence[Claim]) -> list[bool]:
        """See ``ports.CheckQueue``."""
        with self._changed:
            photos = [self._claimed(claim) for claim in claims]
            for photo in filter(None, photos):
                photo.begun, photo.lease_until = True, self._lease_until()
                photo.attempts += 1
            self._changed.notify_all()
            return [photo is not None for photo in photos]

    def renew(self, claims: Sequence[Claim]) -> None:
        """See ``ports.CheckQueue``."""
        with self._changed:
            for photo in filter(None, map(self._claimed, claims)):
                photo.lease_until = self._lease_until()
            self._changed.notify_all()

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """See ``ports.CheckQueue``."""
        with self._changed:
            now = self._now()
            written = [self._finish(outcome, now) for outcome in outcomes]
            self._changed.notify_all()
            return written

    def release(self, claims: Sequence[Claim]) -> None:
        """See ``ports.CheckQueue``; a claim that has lost its lease is skipped."""
        with self._changed:
            for claim in claims:
                if (photo := self._claimed(claim)) is not None:
                    photo.attempts = claim.attempt - 1
                    _end_lease(photo, "pending")
            self._changed.notify_all()

    def next_due_s(self) -> float | None:
        """See ``ports.CheckQueue``."""
        with self._changed:
            pending = [photo.due for photo in self._photos.values() if photo.status == "pending"]
            leases = [photo.lease_until for photo in self._photos.values() if photo.lease_until]
            times = pending + leases
            return max(0.0, (min(times) - self._now()).total_seconds()) if times else None

    def _reclaim_expired(self, now: datetime) -> None:
        for photo_id, photo in self._photos.items():
            if photo.lease_until is None or photo.lease_until >= now:
                continue
            if photo.begun:
                times = "once" if photo.attempts == 1 else f"{photo.attempts} times"
                error = f"The checker stopped in the middle of this photo {times}."
                self.log.append(Outcome(_claim(photo_id, photo, photo.attempts), error=error))
            used_up = photo.begun and photo.attempts >= self._max_attempts
            _end_lease(photo, "failed" if used_up else "pending", now)

    def _lease_until(self) -> datetime:
        return self._now() + timedelta(seconds=self.lease_s)

    def _finish(self, outcome: Outcome, now: datetime) -> bool:
        photo = self._claimed(outcome.claim)
        if photo is None:
            return False
        photo.attempts = outcome.claim.attempt
        retry_s = outcome.retry_after_s(self._max_attempts, self._backoff_s)
        self.log.append(outcome if retry_s is None else replace(outcome, unreadable=False))
        if retry_s is not None:
            _end_lease(photo, "pending", now + timedelta(seconds=retry_s))
        elif outcome.decision is not None:
            _end_lease(photo, outcome.decision.verdict)
        else:
            _end_lease(photo, Verdict.UNREADABLE if outcome.unreadable else "failed")
        return True

    def _claimed(self, claim: Claim) -> _Photo | None:
        """The claim's photo; None if the claim no longer holds."""
        photo = self._photos.get(claim.photo_id)
        return photo if photo is not None and photo.token == claim.token else None


def _claim(photo_id: int, photo: _Photo, attempt: int) -> Claim:
    return Claim(photo_id, photo.token or "", photo.photo_key, photo.thumbnail_key, attempt)


def _end_lease(photo: _Photo, status: str, due: datetime | None = None) -> None:
    photo.status, photo.token, photo.lease_until = status, None, None
    photo.due = due or photo.due
