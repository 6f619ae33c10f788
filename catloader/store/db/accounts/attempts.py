"""Counted attempts to log in, to register and to confirm a password.

They are stored in the database because a limit applies to all processes and machines together, and must
survive a restart. A key has one row with the times of its attempts. The row is locked while an attempt is
counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import attempts

_TRIES = 5
"""Several processes may insert a key's first row at once; all but one of them must try again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` attempts in any ``window_s`` seconds."""

    count: int
    window_s: int


Rates = Mapping[str, Sequence[Rate]]
"""Key (of at most 80 characters) -> rates, all of which must hold."""


class Attempts:
    """Attempts by key. The limits are exact for any number of processes. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, rates: Rates, now: datetime, longest_s: float = math.inf) -> int | None:
        """Count one attempt under every key if it is allowed; otherwise count it under none.

        Args:
            longest_s: the longest window of any rate of the site. Rows so far in the future that only a wrong
                clock can have written them are deleted too.

        Returns:
            None: the attempt is allowed. Otherwise the seconds until the next attempt is allowed.
        """
        now_s = now.timestamp()
        # A refusal only reads, so that many refusals do not keep the database busy with writing.
        with reading(self._engine) as connection:
            wait_s = max((_wait_s(_times(connection, key), rates[key], now_s) for key in rates), default=0)
        for _ in range(0 if wait_s else _TRIES):
            try:
                with writing(self._engine) as connection:
                    wait_s = _count(connection, rates, now_s, longest_s)
                break
            except IntegrityError:
                continue
        return wait_s or None

    def cancel(self, key: str, reserved_at: datetime) -> None:
        """Remove the attempt that was counted at this time; a successful attempt was not a guess."""
        with writing(self._engine) as connection:
            times = _times(connection, key, lock=True)
            if (at_s := reserved_at.timestamp()) in times:
                times.remove(at_s)
                connection.execute(update(attempts).where(attempts.c.key == key).values(times=times))


def _times(connection: Connection, key: str, *, lock: bool = False) -> list[float]:
    query = select(attempts.c.times).where(attempts.c.key == key)
    return list(connection.execute(query.with_for_update() if lock else query).scalar() or [])


def _count(connection: Connection, rates: Rates, now_s: float, longest_of_all_s: float) -> int:
    """Lock the rows in the order of their keys, and add the attempt unless a rate forbids it.

    Returns:
        0, or the seconds until the attempt is allowed.
    """
    counted = {}
    for key in sorted(rates):
        if not connection.execute(select(attempts.c.key).where(attempts.c.key == key)).first():
            connection.execute(insert(attempts).values(key=key, times=[], until=_time(now_s)))
        counted[key] = _times(connection, key, lock=True)
    if wait_s := max(_wait_s(counted[key], rates[key], now_s) for key in rates):
        return wait_s
    for key, times in counted.items():
        longest_s = max(rate.window_s for rate in rates[key])
        recent = [time for time in times if abs(time - now_s) < longest_s]
        values = {"times": [*recent, now_s], "until": _time(now_s + longest_s)}
        connection.execute(update(attempts).where(attempts.c.key == key).values(values))
    _delete_expired(connection, now_s, longest_of_all_s)
    return 0


def _delete_expired(connection: Connection, now_s: float, longest_s: float) -> None:
    expired = attempts.c.until < _time(now_s)
    if math.isfinite(longest_s):  # times up to one window ahead count, and are kept for one more
        expired |= attempts.c.until > _time(now_s + 2 * longest_s)
    # Locked rows are skipped, because two transactions could deadlock.
    keys = select(attempts.c.key).where(expired).with_for_update(skip_locked=True)
    connection.execute(delete(attempts).where(attempts.c.key.in_(keys)))


def _wait_s(times: Sequence[float], rates: Sequence[Rate], now_s: float) -> int:
    """Return the seconds until all rates allow one more attempt; 0: now."""
    waits = [0]
    for rate in rates:
        # Times slightly in the future are from a clock that is ahead; those far ahead are from a wrong clock.
        inside = sorted(time for time in times if abs(time - now_s) < rate.window_s)
        if len(inside) >= rate.count:
            waits.append(math.ceil(inside[-rate.count] + rate.window_s - now_s))
    return max(waits)


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
