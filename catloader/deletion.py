"""Deleting from S3, fired and forgotten: rows went with the request, the files go here.

The transaction that takes the rows writes the keys into the ledger; this thread deletes them and
retries until the store says they are gone. It also clears what uploads that died have left.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from catloader.errors import CatLoaderError
from catloader.store.db.deletions import Deletion, Deletions
from catloader.store.s3.objects import ObjectStore

logger = logging.getLogger(__name__)

_BATCH = 200
_MAX_RETRY_S = 3600.0


class DeletionWorker:
    """One daemon thread; ``wake`` never blocks.

    Several processes may run one each: deleting twice is harmless.
    """

    def __init__(
        self, ledger: Deletions, objects: ObjectStore, *, sweep_s: float, now: Callable[[], datetime]
    ) -> None:
        self._ledger, self._objects, self._sweep_s, self._now = ledger, objects, sweep_s, now
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="deletion", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wanted.set()

    def close(self) -> None:
        self._closing.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def work_off(self) -> int:
        """Delete all that is due; returns how many objects are gone.

        The first failure ends the pass: a store that is away would make every other key wait for
        its time-out too. The failing key goes to the back, so that it can't hold up the others.
        """
        gone = 0
        while not self._closing.is_set() and (due := self._ledger.due(self._now(), _BATCH)):
            done: list[int] = []
            try:
                for entry in due:
                    if self._closing.is_set():
                        break
                    self._delete(entry)
                    done.append(entry.id)
            except CatLoaderError as error:
                retry_s = min(self._sweep_s * 2**entry.attempts, _MAX_RETRY_S)
                self._ledger.failed(entry.id, str(error), self._now(), retry_s)
                logger.warning("S3 objects wait to be deleted: %s", error)
                return gone + len(done)
            finally:
                self._ledger.done(done)
            gone += len(done)
        return gone

    def _delete(self, entry: Deletion) -> None:
        if entry.kind is not None:
            self._objects.delete(entry.kind, entry.key)
        elif entry.bucket is not None:
            self._objects.delete_from_bucket(entry.bucket, entry.key)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if gone := self.work_off():
                    logger.info("deleted %d objects from S3", gone)
            except Exception:  # the top of a thread: it must live on
                logger.exception("The deletion ledger could not be worked off; trying again later.")
            self._wanted.wait(self._sweep_s)
            self._wanted.clear()
