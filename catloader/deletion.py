"""The deletion worker: deletes objects from S3 in the background, after the request that deleted their rows.

The transaction that deletes the rows enters the objects in the ledger; this thread deletes them and retries
until the store confirms it. Reservations of aborted uploads become due and are deleted as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from catloader.errors import CatLoaderError, StoreUnavailable
from catloader.store.db.photos.deletions import Deletion, Deletions
from catloader.store.s3.errors import NoAnswer
from catloader.store.s3.objects import ObjectStore
from checker.log_limit import LogLimits
from checker.plurals import counted

logger = logging.getLogger(__name__)

_BATCH = 1000
"""Maximum number of keys in one request to S3."""
_MAX_RETRY_S = 3600.0
_MOST_DOUBLINGS = 20
"""Limit on the exponent of the backoff: after some thousand attempts, the power would overflow a float."""


class DeletionWorker:
    """A daemon thread; ``wake`` never blocks.

    Several processes may run a deletion worker each: deleting an object twice is harmless.

    Args:
        expire: deletes the rows of photos whose time in the bin is over; returns their number.
        expire_partial: deletes expired partial uploads; returns their number.
        end_impossible_waits: makes rows due that a wrong clock has delayed; returns their number.
    """

    def __init__(
        self,
        ledger: Deletions,
        objects: ObjectStore,
        *,
        sweep_s: float,
        expire: Callable[[], int] = lambda: 0,
        expire_partial: Callable[[], int] = lambda: 0,
        end_impossible_waits: Callable[[], int] = lambda: 0,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._ledger, self._objects, self._sweep_s, self._clock = ledger, objects, sweep_s, now
        self._expire, self._expire_partial = expire, expire_partial
        self._end_impossible_waits = end_impossible_waits
        self._log_limits = LogLimits()
        self._requested, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="deletion", daemon=True)

    def _now(self) -> datetime | None:
        return self._clock() if self._clock else None

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._requested.set()

    def close(self) -> None:
        self._closing.set()
        self._requested.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def work_off(self) -> int:
        """Delete all objects that are due; return their number.

        An object leaves the ledger once the store says that it is gone. If the store refuses to delete an
        object, only this object is retried later. If the store does not answer, the pass ends.
        """
        deleted = 0
        while not self._closing.is_set() and (due := self._ledger.due(_BATCH, self._now())):
            for bucket, entries in self._by_bucket(due).items():
                try:
                    refused = self._objects.delete_many(bucket, [entry.key for entry in entries])
                    refused |= self._still_there(entries)
                except CatLoaderError as error:
                    self._postpone(entries[:1], str(error))
                    self._warn(getattr(error, "cause", str(error)), str(error))
                    return deleted
                gone = [entry.id for entry in entries if entry.key not in refused]
                self._ledger.done(gone)
                deleted += len(gone)
                for entry in entries:
                    if entry.key in refused:
                        reason = refused[entry.key]
                        self._postpone([entry], reason)
                        self._warn(reason.replace(entry.key, ""), f"{entry.key} in {bucket}: {reason}")
        return deleted

    def _still_there(self, entries: Sequence[Deletion]) -> dict[str, str]:
        """Look for the objects of deleted accounts; return key -> reason for objects not known to be gone.

        A receipt must state only deletions that were verified.
        """
        reasons: dict[str, str] = {}
        for entry in entries:
            if not entry.receipt or entry.kind is None:
                continue
            try:
                if self._objects.exists(entry.kind, entry.key):
                    reasons[entry.key] = "the object is still there"
            except NoAnswer:
                raise
            except StoreUnavailable as error:  # only this object is refused; do not delay the others
                reasons[entry.key] = str(error)
        return reasons

    def _by_bucket(self, due: Sequence[Deletion]) -> dict[str, list[Deletion]]:
        buckets: dict[str, list[Deletion]] = {}
        for entry in due:
            bucket = self._objects.bucket_of(entry.kind) if entry.kind is not None else entry.bucket
            buckets.setdefault(bucket or "", []).append(entry)
        return buckets

    def _postpone(self, entries: Sequence[Deletion], error: str) -> None:
        for entry in entries:
            retry_s = min(self._sweep_s * 2 ** min(entry.attempts, _MOST_DOUBLINGS), _MAX_RETRY_S)
            self._ledger.failed(entry.id, error, retry_s, self._now())

    def _warn(self, cause: str, text: str) -> None:
        if (suffix := self._log_limits.suffix(cause)) is not None:
            logger.warning("deletions from S3 are postponed: %s%s", text, suffix)

    def _run(self) -> None:
        while not self._closing.is_set():
            overdue = "a wrong clock had delayed %s; due now"
            self._attempt(self._end_impossible_waits, "row", logging.WARNING, overdue)
            self._attempt(self._expire_partial, "partial upload", logging.INFO, "deleted %s")
            self._attempt(self._expire, "photo", logging.INFO, "deleted %s from the bin")
            self._attempt(self.work_off, "object", logging.INFO, "deleted %s from S3")
            self._requested.wait(self._sweep_s)
            self._requested.clear()

    def _attempt(self, work: Callable[[], int], noun: str, level: int, report: str) -> None:
        """Do one part of the work and log its amount; an error does not prevent the other parts."""
        try:
            if number := work():
                logger.log(level, report, counted(number, noun))
        except StoreUnavailable as error:  # the database; `work_off` handles the object store
            self._warn(error.cause, str(error))
        except OSError as error:  # the folder of partial uploads
            self._warn(str(error), str(error))
        except Exception:  # the top of a thread, which must not end
            logger.exception("the deletion ledger could not be processed; retrying later")
