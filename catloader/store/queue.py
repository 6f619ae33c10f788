"""Steps 5 and 10, claim and log: the table of photos, seen as a queue."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    String,
    Update,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    update,
)

from catloader.errors import StoreUnavailable
from catloader.store.engine import reading, utcnow, writing
from catloader.store.images import status_is
from catloader.store.schema import Status, check_log, images
from checker import errors as checker_errors
from checker.ports import Claim, Decision, Outcome

_LONGEST_WAIT_S = 3600.0


class SqlCheckQueue:
    """Implements ``checker.ports.CheckQueue``; raises ``checker.errors.StoreUnavailable``."""

    def __init__(
        self,
        engine: Engine,
        *,
        lease_s: float,
        max_attempts: int,
        backoff_s: float,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._engine = engine
        self._lease = timedelta(seconds=lease_s)
        self._max_attempts = max_attempts
        self._backoff_s = backoff_s
        self._now = now

    def claim(self, limit: int) -> list[Claim]:
        """Oldest due first. Also the place where leases that ran out are noticed."""
        now, token = self._now(), secrets.token_hex(16)
        with _writing(self._engine) as connection:
            self._take_back(connection, now)
            due = select(images.c.id).where(status_is("pending"), images.c.next_attempt_at <= now)
            rows = connection.execute(
                update(images)
                .where(
                    images.c.id.in_(_locked(due.order_by(images.c.next_attempt_at, images.c.id).limit(limit)))
                )
                .values(
                    status=Status.CHECKING,
                    claim_token=token,
                    lease_until=now + self._lease,
                    attempts=images.c.attempts + 1,
                )
                .returning(
                    images.c.id,
                    images.c.photo_key,
                    images.c.thumbnail_key,
                    images.c.attempts,
                    images.c.next_attempt_at,
                )
            ).all()
        rows = sorted(rows, key=lambda row: (row.next_attempt_at, row.id))
        return [Claim(row.id, token, row.photo_key, row.thumbnail_key, row.attempts) for row in rows]

    def _take_back(self, connection: Connection, now: datetime) -> None:
        """Back to pending, or failed when the attempts are used up: a photo that kills its checker."""
        over = select(images.c.id).where(status_is("checking"), images.c.lease_until < now)
        used_up = images.c.attempts >= self._max_attempts
        attempts = case((images.c.attempts == 1, literal("once")), else_=_text(images.c.attempts) + " times")
        reason = literal("The checker stopped in the middle of this photo ") + attempts + "."
        rows = connection.execute(
            update(images)
            .where(images.c.id.in_(_locked(over)))
            .values(
                status=_unless_human(case((used_up, literal(Status.FAILED)), else_=literal(Status.PENDING))),
                check_error=reason,
                claim_token=None,
                lease_until=None,
                next_attempt_at=now,
                checked_at=case((used_up, literal(now, images.c.checked_at.type)), else_=images.c.checked_at),
            )
            .returning(images.c.id, images.c.attempts, images.c.check_error)
        ).all()
        log = [
            {"image_id": row.id, "attempt": row.attempts, "finished_at": now, "error": row.check_error}
            for row in rows
        ]
        if log:
            connection.execute(insert(check_log), log)

    def finish(self, outcome: Outcome) -> bool:
        now, claim = self._now(), outcome.claim
        with _writing(self._engine) as connection:
            ours = _ours(update(images)).values(
                claim_token=None, lease_until=None, **self._result(outcome, now)
            )
            key = {"b_id": claim.image_id, "b_token": claim.token}
            if connection.execute(ours, key).rowcount == 0:
                return False
            connection.execute(insert(check_log).values(_log_row(outcome, now)))
        return True

    def _result(self, outcome: Outcome, now: datetime) -> dict[str, Any]:
        decision, attempt = outcome.decision, outcome.claim.attempt
        if decision is not None:
            return {
                "status": _unless_human(literal(str(decision.verdict))),
                "score": decision.score,
                "wild_feline": decision.wild_feline,
                "calibrated": decision.profile_id != "uncalibrated",
                "check_error": None,
                "checked_at": now,
            }
        if outcome.retryable and not outcome.unreadable and attempt < self._max_attempts:
            wait_s = min(_LONGEST_WAIT_S, self._backoff_s * 2.0 ** (attempt - 1))
            return {
                "status": _unless_human(literal(Status.PENDING)),
                "check_error": outcome.error,
                "next_attempt_at": now + timedelta(seconds=wait_s),
            }
        end = Status.UNREADABLE if outcome.unreadable else Status.FAILED
        return {"status": _unless_human(literal(end)), "check_error": outcome.error, "checked_at": now}

    def release(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        back = _ours(update(images)).values(
            status=_unless_human(literal(Status.PENDING)),
            claim_token=None,
            lease_until=None,
            attempts=images.c.attempts - 1,
        )
        with _writing(self._engine) as connection:
            connection.execute(back, [{"b_id": claim.image_id, "b_token": claim.token} for claim in claims])

    def waiting_count(self) -> int:
        """Photos that wait for their first or next attempt, due or not."""
        with _reading(self._engine) as connection:
            return connection.execute(
                select(func.count()).select_from(images).where(status_is("pending"))
            ).scalar_one()

    def next_due_s(self) -> float | None:
        """Seconds until a photo is due or a lease runs out; 0 when one is; None: nothing to wait for."""
        pending = select(func.min(images.c.next_attempt_at)).where(status_is("pending"))
        leased = select(func.min(images.c.lease_until)).where(status_is("checking"))
        with _reading(self._engine) as connection:
            times = [time for query in (pending, leased) if (time := connection.execute(query).scalar_one())]
        return max(0.0, (min(times) - self._now()).total_seconds()) if times else None


def _locked(query: Select[Any]) -> Select[Any]:
    """The rows nobody else is taking just now.

    Materialised, because the planner may run a sub-select several times, each with other rows locked
    and skipped: more than the limit would be taken.
    """
    rows = query.with_for_update(skip_locked=True).cte().prefix_with("MATERIALIZED", dialect="postgresql")
    return select(rows.c.id)


def _ours(statement: Update) -> Update:
    mine = (images.c.id == bindparam("b_id")) & (images.c.claim_token == bindparam("b_token"))
    return statement.where(mine, status_is("checking"))


def _unless_human(status: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((images.c.human_verdict.is_(None), status), else_=images.c.human_verdict)


def _text(number: ColumnElement[int]) -> ColumnElement[str]:
    return cast(number, String)


def _log_row(outcome: Outcome, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {
        "image_id": outcome.claim.image_id,
        "attempt": outcome.claim.attempt,
        "finished_at": now,
        "batch_size": outcome.batch_size,
        "photo_sha256": outcome.photo_sha256,
        "thumbnail_sha256": outcome.thumbnail_sha256,
        "ms": dict(outcome.ms),
        "error": outcome.error,
    }
    if outcome.unreadable:
        row["verdict"] = str(Status.UNREADABLE)
    if outcome.decision is not None:
        row |= _decision_columns(outcome.decision)
    if (stamp := outcome.stamp) is not None:
        row |= {
            "model": stamp.model,
            "weights_sha256": stamp.weights_sha256,
            "runtime": stamp.runtime,
            "precision": stamp.precision,
            "device": stamp.device,
            "versions": dict(stamp.versions),
        }
    return row


def _decision_columns(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": str(decision.verdict),
        "score": decision.score,
        "cat_at": decision.cat_at,
        "not_cat_below": decision.not_cat_below,
        "subject": decision.subject,
        "wild_feline": decision.wild_feline,
        "profile_id": decision.profile_id,
        "labels": {
            str(view): [[label.index, label.name, label.confidence] for label in labels]
            for view, labels in decision.labels.items()
        },
        "subject_scores": {str(view): dict(scores) for view, scores in decision.subject_scores.items()},
    }


@contextmanager
def _writing(engine: Engine) -> Iterator[Connection]:
    with _translated(), writing(engine) as connection:
        yield connection


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    with _translated(), reading(engine) as connection:
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise checker_errors.StoreUnavailable(str(error)) from error
