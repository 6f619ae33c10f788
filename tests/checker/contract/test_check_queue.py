"""The contract that the in-memory queue and the SQL queue, on SQLite and PostgreSQL, fulfil."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import Engine, select

from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import reading
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log
from checker.testing import InMemoryCheckQueue
from checker.values import Verdict
from tests.checker.contract.queue import START, CheckQueueContract, Clock, LogEntry, QueueUnderTest
from tests.support.rows import add_photos, delete_photo


class _InMemory:
    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = InMemoryCheckQueue(lease_s=60, max_attempts=3, backoff_s=10, now=self.clock)
        self._last_id = 0

    def other(self, *, max_attempts: int, backoff_s: float) -> InMemoryCheckQueue:
        self.queue = InMemoryCheckQueue(max_attempts=max_attempts, backoff_s=backoff_s, now=self.clock)
        return self.queue

    def add(self, count: int, due: datetime = START) -> list[int]:
        ids = list(range(self._last_id + 1, self._last_id + 1 + count))
        self._last_id += count
        for id in ids:
            self.queue.add(id, *self.keys(id), due=due)
        return ids

    def keys(self, photo_id: int) -> tuple[str, str]:
        return f"photo-{photo_id}", f"thumbnail-{photo_id}"

    def delete(self, photo_id: int) -> None:
        self.queue.delete(photo_id)

    def status(self, photo_id: int) -> str:
        return self.queue.status(photo_id)

    def log(self) -> list[LogEntry]:
        entries = []
        for outcome in self.queue.log:
            verdict = str(Verdict.UNREADABLE) if outcome.unreadable else None
            if outcome.decision is not None:
                verdict = str(outcome.decision.verdict)
            claim = outcome.claim
            entries.append(LogEntry(claim.photo_id, claim.attempt, verdict, outcome.error))
        return entries


class _Sql:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.clock = Clock()
        self.queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=self.clock)

    def other(self, *, max_attempts: int, backoff_s: float) -> SqlCheckQueue:
        return SqlCheckQueue(
            self._engine, lease_s=60, max_attempts=max_attempts, backoff_s=backoff_s, now=self.clock
        )

    def add(self, count: int, due: datetime = START) -> list[int]:
        return add_photos(self._engine, count, due)

    def keys(self, photo_id: int) -> tuple[str, str]:
        row = self._row(photo_id)
        return row.photo_key, row.thumbnail_key

    def delete(self, photo_id: int) -> None:
        assert delete_photo(self._engine, photo_id, self._row(photo_id).owner_id, START)

    def status(self, photo_id: int) -> str:
        return str(self._row(photo_id).status)

    def log(self) -> list[LogEntry]:
        columns = (check_log.c.photo_id, check_log.c.attempt, check_log.c.verdict, check_log.c.error)
        with reading(self._engine) as connection:
            rows = connection.execute(select(*columns).order_by(check_log.c.id)).all()
        return [LogEntry(*row) for row in rows]

    def _row(self, photo_id: int) -> Photo:
        row = Photos(self._engine).by_id(photo_id)
        assert row
        return row


class TestInMemoryCheckQueue(CheckQueueContract):
    @pytest.fixture
    def case(self) -> QueueUnderTest:
        return _InMemory()


class TestSqlCheckQueue(CheckQueueContract):
    @pytest.fixture
    def case(self, engine: Engine) -> QueueUnderTest:
        return _Sql(engine)
