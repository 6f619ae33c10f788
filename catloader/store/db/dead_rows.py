"""Dead versions of rows in synthetic databases of PostgreSQL, for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, select, text, update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import Status, photos
from catloader.store.db.testing import LONG_AGO


def leave_dead_rows(engine: Engine, count: int) -> int:
    """Make at least ``count`` dead versions of waiting rows, as released claims do; PostgreSQL only.

    Autovacuum stays off for this table afterwards.

    Returns:
        The number of dead versions.
    """
    dead = 0
    _stop_autovacuum(engine)
    claimed = {"status": Status.CHECKING, "claim_token": 32 * "d", "lease_until": utcnow() + LONG_AGO}
    released = {"status": Status.PENDING, "claim_token": None, "lease_until": None}
    while dead < count:
        for before, values in ((Status.PENDING, claimed), (Status.CHECKING, released)):
            with writing(engine) as connection:
                statement = update(photos).where(photos.c.status == before).values(values)
                dead += connection.execute(statement).rowcount
    return dead


def check_first(engine: Engine, count: int) -> int:
    """Give the first ``count`` waiting photos a verdict, as checks do; PostgreSQL only.

    Autovacuum stays off for this table afterwards.

    Returns:
        The number of dead versions.
    """
    _stop_autovacuum(engine)
    first = select(photos.c.id).where(photos.c.status == Status.PENDING)
    ids = first.order_by(photos.c.next_attempt_at, photos.c.id).limit(count)
    claimed = {"status": Status.CHECKING, "claim_token": 32 * "d", "lease_until": utcnow() - LONG_AGO}
    decided = {"status": Status.CAT, "claim_token": None, "lease_until": None}
    dead = 0
    for condition, values in (
        (photos.c.id.in_(ids), claimed),
        (photos.c.status == Status.CHECKING, decided),
    ):
        with writing(engine) as connection:
            dead += connection.execute(update(photos).where(condition).values(values)).rowcount
    return dead


def _stop_autovacuum(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE images SET (autovacuum_enabled = off)"))


@contextmanager
def old_snapshot(engine: Engine) -> Iterator[None]:
    """Hold a transaction open that may still read every old row version, as a long backup does."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        # Otherwise the site's limit would end the transaction.
        connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
        connection.execute(select(photos.c.id).limit(1))
        yield
