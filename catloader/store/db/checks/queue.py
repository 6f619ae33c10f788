"""The table of photos as a queue: steps 5 and 10, claim and log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Update

from catloader.store.db.checks import queue_sql as sql
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import Status
from checker.decision.operating_point import UNCALIBRATED
from checker.values import Claim, Outcome

_BACKLOG = timedelta(seconds=10)
"""Maximum time between two claims that read the queue from its beginning."""


class _Backlog(NamedTuple):
    """The place in the queue at which the next claims begin, after a claim that reached its limit.

    While a transaction holds a snapshot, as a backup does, PostgreSQL keeps the index entries of all photos
    claimed since then, and a claim from the beginning of the queue would read all of them.
    """

    due_at: datetime
    photo_id: int
    until: datetime
    """From this time on, claims read the queue from its beginning, for photos released meanwhile."""


class SqlCheckQueue:
    """Implements ``checker.ports.CheckQueue``.

    Args:
        now: a clock for tests; None: the database's clock, not that of this process.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        lease_s: float,
        max_attempts: int,
        backoff_s: float,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._engine = engine
        self.lease_s = lease_s
        self._max_attempts = max_attempts
        self._backoff_s = backoff_s
        self._clock = now
        self._backlog: _Backlog | None = None

    def claim(self, limit: int) -> list[Claim]:
        """Claim due photos, longest due first, and reclaim photos whose lease has expired.

        After a claim that reached ``limit``, the next claims begin at its first photo and ignore expired
        leases, for at most ``_BACKLOG`` and only as long as they find ``limit`` photos.
        """
        token = secrets.token_hex(16)
        values = {"now": self._now(), "limit": limit, "token": token, "lease_s": self.lease_s}
        backlog, rows = self._backlog, list[Row[Any]]()
        with writing(self._engine) as connection:
            if backlog:
                rows += connection.execute(sql.CLAIM_ON, values | backlog._asdict())
            if len(rows) < limit:
                backlog = None
                self._reclaim_expired(connection)
                rows += connection.execute(sql.CLAIM, values | {"limit": limit - len(rows)})
        rows.sort(key=lambda row: (row.next_attempt_at, row.id))
        self._backlog = self._place(rows[0], backlog) if 0 < limit == len(rows) else None
        return [
            Claim(
                photo_id=row.id,
                token=token,
                photo_key=row.photo_key,
                thumbnail_key=row.thumbnail_key,
                attempt=row.attempts + 1,
                photo_sha256=row.sha256,
                thumbnail_sha256=row.thumbnail_sha256,
                waited_s=max(0.0, (row.lease_until - row.next_attempt_at).total_seconds() - self.lease_s),
            )
            for row in rows
        ]

    def _place(self, first: Row[Any], before: _Backlog | None) -> _Backlog:
        """Return the place of a full claim; ``before`` is the place at which it began, if it had one."""
        until = before.until if before else first.lease_until - timedelta(seconds=self.lease_s) + _BACKLOG
        return _Backlog(first.next_attempt_at, first.id, until)

    def _now(self) -> datetime | None:
        return self._clock() if self._clock else None

    def _reclaim_expired(self, connection: Connection) -> None:
        """Reclaim expired claims and log the lost attempts, including those that crashed a checker."""
        values = {"now": self._now(), "max_attempts": self._max_attempts}
        rows = connection.execute(sql.RECLAIM_EXPIRED, values).all()
        log = [
            {"photo_id": row.id, "attempt": row.attempts, "error": row.check_error, "now": values["now"]}
            for row in rows
            if row.begun_at is not None
        ]
        if log:
            connection.execute(sql.LOG, log)

    def begin(self, claims: Sequence[Claim]) -> list[bool]:
        """Count the attempts in one statement; see the port."""
        if not claims:
            return []
        with writing(self._engine) as connection:
            held = set(connection.execute(sql.BEGIN, self._of(claims)).scalars())
        return [claim.photo_id in held for claim in claims]

    def renew(self, claims: Sequence[Claim]) -> None:
        """See the port."""
        if claims:
            with writing(self._engine) as connection:
                connection.execute(sql.RENEW, self._of(claims))

    def _of(self, claims: Sequence[Claim]) -> dict[str, Any]:
        return {
            "photo_ids": [claim.photo_id for claim in claims],
            "tokens": sorted({claim.token for claim in claims}),
            "lease_s": self.lease_s,
            "now": self._now(),
        }

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Write verdicts and log rows in one transaction; see the port."""
        now = self._now()
        log: list[dict[str, Any]] = []
        written = [False] * len(outcomes)
        with writing(self._engine) as connection:
            # By id in every transaction; otherwise two transactions could wait for each other's rows.
            for place, outcome in sorted(enumerate(outcomes), key=lambda pair: pair[1].claim.photo_id):
                statement, values = self._update(outcome, now)
                keys = _keys(outcome.claim, outcome.claim.attempt)
                written[place] = connection.execute(statement, keys | values).rowcount == 1
                if written[place]:
                    # The photo is not unreadable yet if another attempt follows.
                    logged = replace(outcome, unreadable=False) if statement is sql.RESCHEDULE else outcome
                    log.append({**sql.log_row(logged), "now": now})
            if log:
                connection.execute(sql.LOG, log)
        return written

    def _update(self, outcome: Outcome, now: datetime | None) -> tuple[Update, dict[str, Any]]:
        decision = outcome.decision
        if decision is not None:
            return sql.DECIDED, {
                "new_status": str(decision.verdict),
                "new_score": decision.score,
                "new_wild_feline": decision.wild_feline,
                "new_calibrated": decision.profile_id != UNCALIBRATED,
                "now": now,
            }
        retry_s = outcome.retry_after_s(self._max_attempts, self._backoff_s)
        if retry_s is not None:
            return sql.RESCHEDULE, {"new_error": outcome.error, "retry_s": retry_s, "now": now}
        status = Status.UNREADABLE if outcome.unreadable else Status.FAILED
        return sql.FINISH_WITHOUT_VERDICT, {"new_status": str(status), "new_error": outcome.error, "now": now}

    def release(self, claims: Sequence[Claim]) -> None:
        """Release claims without counting an attempt."""
        if claims:
            ordered = sorted(claims, key=lambda claim: claim.photo_id)
            keys = [_keys(claim, claim.attempt - 1) for claim in ordered]
            with writing(self._engine) as connection:
                connection.execute(sql.RELEASE, keys)
            self._backlog = None

    def waiting_count(self) -> int:
        """Count the photos that wait for their first or next attempt, due or not."""
        with reading(self._engine) as connection:
            return connection.execute(sql.WAITING).scalar_one()

    def next_due_s(self) -> float | None:
        """Return the seconds until a photo is due or a lease expires.

        0: this has happened already. None: the queue is empty.
        """
        with reading(self._engine) as connection:
            values = {"now": self._now()}
            rows = [connection.execute(query, values).one() for query in (sql.NEXT_PENDING, sql.NEXT_LEASE)]
        waits = [(row.at - row.now).total_seconds() for row in rows if row.at]
        return max(0.0, min(waits)) if waits else None


def _keys(claim: Claim, attempts: int) -> dict[str, Any]:
    return {"photo_id": claim.photo_id, "token": claim.token, "attempts_then": attempts}
