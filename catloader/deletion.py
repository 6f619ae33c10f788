"""The deletion worker: deletes objects from S3 in the background, after the request that deleted their rows.

The transaction that deletes the rows enters the objects in the ledger; this thread deletes them and retries
until the store confirms it. Reservations of uploads that died become due and are deleted as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from catloader.errors import CatLoaderError
from catloader.log_limit import LogLimits
from catloader.store.db.deletions import Deletion, Deletions
from catloader.store.s3.objects import ObjectStore

logger = logging.getLogger(__name__)

_BATCH = 200
_MAX_RETRY_S = 3600.0


class DeletionWorker:
    """One daemon thread; ``wake`` never blocks.

    Several processes may run one each: deleting an object twice is harmless.
    """

    def __init__(
        self,
        ledger: Deletions,
        objects: ObjectStore,
        *,
        sweep_s: float,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._ledger, self._objects, self._sweep_s, self._clock = ledger, objects, sweep_s, now
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

        The first failure ends the pass: with a store that is away, every other object would wait for the
        time-out too. The failed object is retried later than the others, so that it does not block them.
        """
        deleted = 0
        while not self._closing.is_set() and (due := self._ledger.due(_BATCH, self._now())):
            done: list[int] = []
            try:
                for entry in due:
                    if self._closing.is_set():
                        break
                    self._delete(entry)
                    done.append(entry.id)
            except CatLoaderError as error:
                retry_s = min(self._sweep_s * 2**entry.attempts, _MAX_RETRY_S)
                self._ledger.failed(entry.id, str(error), retry_s, self._now())
                if (suffix := self._log_limits.suffix(getattr(error, "cause", str(error)))) is not None:
                    logger.warning("deletions from S3 are postponed: %s%s", error, suffix)
                return deleted + len(done)
            finally:
                self._ledger.done(done)
            deleted += len(done)
        return deleted

    def _delete(self, entry: Deletion) -> None:
        if entry.kind is not None:
            self._objects.delete(entry.kind, entry.key)
        elif entry.bucket is not None:
            self._objects.delete_from_bucket(entry.bucket, entry.key)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if deleted := self.work_off():
                    logger.info("deleted %d object%s from S3", deleted, "" if deleted == 1 else "s")
            except Exception:  # the top of a thread, which must go on
                logger.exception("the deletion ledger could not be processed; retrying later")
            self._requested.wait(self._sweep_s)
            self._requested.clear()
