"""The audit log of staff actions. A row is added in the transaction of the act, and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select

from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import audit_log, users

COMMAND_LINE = "command line"
BACKED_UP = "made a backup"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One recorded act."""

    id: int
    made_at: datetime
    actor: str
    """E-mail of the person at that time, or ``COMMAND_LINE``."""
    act: str
    target: str


class AuditLog:
    """Read the log and add entries to it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, before: int | None, limit: int) -> list[AuditEntry]:
        """Return a page of entries, newest first: those before an id, or the newest ones for None."""
        query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(audit_log.c.id < before)
        with reading(self._engine) as connection:
            return [AuditEntry(**row._mapping) for row in connection.execute(query)]

    def latest(self, act: str) -> AuditEntry | None:
        """Return the newest entry for an act; None: there is none."""
        query = select(audit_log).where(audit_log.c.act == act).order_by(audit_log.c.id.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return AuditEntry(**row._mapping) if row else None

    def add(self, actor_id: int | None, act: str, target: str, now: datetime) -> None:
        """Add an act that changes no other rows, in its own transaction; ``actor_id``: as in ``record``."""
        with writing(self._engine) as connection:
            record(connection, actor_id, act, target, now)


def record(connection: Connection, actor_id: int | None, act: str, target: str, now: datetime) -> str:
    """Add an act within the caller's transaction; return the text in the column ``actor``.

    Args:
        actor_id: None: a person at the command line.

    Raises:
        NotFound: the actor's account was deleted meanwhile; this ends the transaction, so nothing is changed.
    """
    actor = COMMAND_LINE
    if actor_id is not None:
        keep_account(connection, actor_id)
        actor = connection.execute(select(users.c.email).where(users.c.id == actor_id)).scalar_one()
    row = {"made_at": now, "actor": actor, "act": act, "target": target}
    connection.execute(insert(audit_log).values(row))
    return actor
