"""A limit on uploads that are being decoded or wait for a decoder, so that threads remain for the pages."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from catloader.errors import UploadsBusy
from catloader.languages import gettext_noop

BUSY = gettext_noop("Many photos are being uploaded at the moment. Please try again in a few seconds.")


class Places:
    """Places at the decoders: ``slots`` being decoded, ``waiting`` behind them, in the order of arrival.

    One owner has at most half of all places, so that an owner can't exclude the others. Thread-safe.

    Memory: a file for each place, ``(slots + waiting) x max_file_bytes``.

    Args:
        patience_s: longest time that a request waits for a slot.
    """

    def __init__(self, *, slots: int, waiting: int, patience_s: float) -> None:
        self._slots, self._places, self._patience_s = slots, slots + waiting, patience_s
        self._of_one_owner = max(1, self._places // 2)
        self._changed = threading.Condition()
        self._line: list[object] = []
        self._at_work = 0
        self._of_owner: Counter[int] = Counter()

    @contextmanager
    def taken(self, owner_id: int) -> Iterator[None]:
        """Wait for a slot and hold it.

        Raises:
            UploadsBusy: all places are taken, or this owner has half of them, or no slot became free in time.
        """
        with self._changed:
            full = self._of_owner.total() >= self._places
            if full or self._of_owner[owner_id] >= self._of_one_owner:
                raise UploadsBusy(BUSY)
            self._of_owner[owner_id] += 1
        try:
            self._wait_for_slot()
            try:
                yield
            finally:
                with self._changed:
                    self._at_work -= 1
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._of_owner[owner_id] -= 1
                self._of_owner += Counter()  # removes owners with a count of 0

    def _wait_for_slot(self) -> None:
        ticket = object()
        deadline_s = time.monotonic() + self._patience_s
        with self._changed:
            self._line.append(ticket)
            try:
                while self._line[0] is not ticket or self._at_work >= self._slots:
                    if not self._changed.wait(deadline_s - time.monotonic()):
                        raise UploadsBusy(BUSY)
                self._at_work += 1
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
