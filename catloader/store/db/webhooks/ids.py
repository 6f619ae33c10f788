"""Seen webhook ids: a signed wake-up is accepted once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import IntegrityError

from catloader.store.db.engine import writing
from catloader.store.db.schema import webhook_ids

_KEPT_FOR = timedelta(hours=1)
"""Many times the five minutes for which a signature is valid, since the clocks of machines may differ."""


class WebhookIds:
    """The ids of the wake-ups of the last hour. Process-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def remember(self, id: str, now: datetime) -> bool:
        """Record the id and delete expired ids; return False if the id was seen before.

        If several calls have the same id, in any processes, exactly one call returns True.
        """
        try:
            with writing(self._engine) as connection:
                connection.execute(delete(webhook_ids).where(webhook_ids.c.seen_at < now - _KEPT_FOR))
                connection.execute(insert(webhook_ids).values(id=id, seen_at=now))
        except IntegrityError:
            return False
        return True
