"""Signs of a running checker in any process on any machine: claims and finished attempts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, exists, literal, select

from catloader.store.db.engine import reading
from catloader.store.db.photos.photo_rows import status_is
from catloader.store.db.schema import check_log, photos


class CheckerActivity:
    """Queries of the rows that checkers write."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def last_attempts_failed(self, attempts: int) -> bool | None:
        """Return True if each of the latest attempts ended in an error; None: there are no attempts."""
        latest = select(check_log.c.verdict).order_by(check_log.c.id.desc()).limit(attempts)
        with reading(self._engine) as connection:
            verdicts = connection.execute(latest).scalars().all()
        return all(verdict is None for verdict in verdicts) if verdicts else None

    def seen_since(self, then: datetime, now: datetime) -> bool:
        """Return True if a checker holds a claim now, or an attempt was finished since ``then``."""
        claimed = exists().where(status_is("checking"), photos.c.lease_until >= now)
        finished = exists().where(check_log.c.finished_at >= then)
        with reading(self._engine) as connection:
            return bool(connection.execute(select(literal(True)).where(claimed | finished)).first())
