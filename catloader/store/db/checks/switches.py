"""Switches that hold for every process of the site: checking can be paused."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Engine, delete, exists, insert, select
from sqlalchemy.exc import IntegrityError

from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import switches
from catloader.store.db.staff.audit_log import record

_PAUSED = switches.c.name == "checking_paused"


def checking_is_on() -> ColumnElement[bool]:
    """Return the condition under which photos may be claimed: checking is not paused."""
    return ~exists().where(_PAUSED)


class Switches:
    """Pause and resume checking. A photo that is in hand is still finished."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def paused_at(self) -> datetime | None:
        """Return the time at which checking was paused; None: it is not paused."""
        with reading(self._engine) as connection:
            return connection.execute(select(switches.c.set_at).where(_PAUSED)).scalar_one_or_none()

    def pause(self, actor_id: int, now: datetime) -> None:
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(switches).values(name="checking_paused", set_at=now))
                record(connection, actor_id, "paused checking", "", now)
        except IntegrityError:  # paused already
            return

    def resume(self, actor_id: int, now: datetime) -> None:
        with writing(self._engine) as connection:
            if connection.execute(delete(switches).where(_PAUSED)).rowcount:
                record(connection, actor_id, "resumed checking", "", now)
