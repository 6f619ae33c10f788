"""The queue's statements, built once: building a statement for every claim takes longer than running it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    String,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from catloader.store.db.checks.switches import checking_is_on
from catloader.store.db.clock import bound_now, later
from catloader.store.db.locked_rows import locked
from catloader.store.db.photos.photo_rows import status_is
from catloader.store.db.schema import Status, check_log, photos
from catloader.store.db.tables.utc_datetime import UtcDateTime
from checker.values import Decision, ModelInfo, Outcome

_now = bound_now()
"""``now`` None: the database's clock. The statements compute all times; this process computes none."""
_lease_until = later(_now, bindparam("lease_s", type_=Float()))
_claimed = (photos.c.id == bindparam("photo_id")) & (photos.c.claim_token == bindparam("token"))
"""The token suffices, because every statement that ends a claim clears it. With a condition on the status,
PostgreSQL may search the index of leases instead of that of ids, which is slow while an open transaction
preserves its dead entries."""


def unless_human(status: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return ``status``, or the person's verdict if there is one, which no checker may overwrite."""
    return case((photos.c.human_verdict.is_(None), status), else_=photos.c.human_verdict)


_expired = select(photos.c.id).where(status_is("checking"), photos.c.lease_until < _now)
_begun = photos.c.begun_at.is_not(None)
_used_up = _begun & (photos.c.attempts >= bindparam("max_attempts"))
_times = case((photos.c.attempts == 1, literal("once")), else_=cast(photos.c.attempts, String) + " times")

RECLAIM_EXPIRED = (
    update(photos)
    .where(photos.c.id.in_(locked(_expired)))
    .values(
        status=unless_human(case((_used_up, literal(Status.FAILED)), else_=literal(Status.PENDING))),
        check_error=case(
            (_begun, literal("The checker stopped in the middle of this photo ") + _times + "."),
            else_=photos.c.check_error,
        ),
        claim_token=None,
        lease_until=None,
        next_attempt_at=_now,
        checked_at=case((_used_up, _now), else_=photos.c.checked_at),
    )
    .returning(photos.c.id, photos.c.attempts, photos.c.check_error, photos.c.begun_at)
)
"""Photos with an expired lease become pending again, or failed once their attempts are used up.

Only a photo whose decoding had begun can have stopped the checker. Other photos keep their error.
"""

_due = (
    select(photos.c.id)
    .where(status_is("pending"), photos.c.next_attempt_at <= _now, checking_is_on())
    .order_by(photos.c.next_attempt_at, photos.c.id)
    .limit(bindparam("limit"))
)


def _claim(due: Select[Any]) -> ReturningUpdate[Any]:
    return (
        update(photos)
        .where(photos.c.id.in_(locked(due)))
        .values(
            status=Status.CHECKING,
            claim_token=bindparam("token"),
            lease_until=_lease_until,
            begun_at=None,
        )
        .returning(
            photos.c.id,
            photos.c.photo_key,
            photos.c.thumbnail_key,
            photos.c.sha256,
            photos.c.thumbnail_sha256,
            photos.c.attempts,
            photos.c.next_attempt_at,
            photos.c.lease_until,
        )
    )


CLAIM = _claim(_due)

_place = tuple_(bindparam("due_at", type_=UtcDateTime()), bindparam("photo_id", type_=photos.c.id.type))
_until = bindparam("until", type_=UtcDateTime())

CLAIM_ON = _claim(_due.where(tuple_(photos.c.next_attempt_at, photos.c.id) >= _place, _now < _until))
"""Claims photos from the place ``due_at``, ``photo_id`` onwards; none once ``until`` has passed."""

_held = (
    select(photos.c.id)
    .where(
        photos.c.id.in_(bindparam("photo_ids", expanding=True)),
        photos.c.claim_token.in_(bindparam("tokens", expanding=True)),
    )
    .order_by(photos.c.id)  # as in `finish`: otherwise two transactions could wait for each other
)

BEGIN = (
    update(photos)
    .where(photos.c.id.in_(locked(_held, wait=True)))
    .values(attempts=photos.c.attempts + 1, begun_at=_now, lease_until=_lease_until)
    .returning(photos.c.id)
)

RENEW = update(photos).where(photos.c.id.in_(locked(_held))).values(lease_until=_lease_until)
"""Rows that another transaction has locked are skipped: it finishes those photos."""

FINISH = (
    update(photos)
    .where(_claimed)
    .values(claim_token=None, lease_until=None, attempts=bindparam("attempts_then"))
)

_new_status = unless_human(bindparam("new_status", type_=String()))

DECIDED = FINISH.values(
    status=_new_status,
    score=bindparam("new_score"),
    wild_feline=bindparam("new_wild_feline"),
    calibrated=bindparam("new_calibrated"),
    check_error=None,
    checked_at=_now,
)

RESCHEDULE = FINISH.values(
    status=unless_human(literal(Status.PENDING)),
    check_error=bindparam("new_error"),
    next_attempt_at=later(_now, bindparam("retry_s", type_=Float())),
)
"""The photo waits for its next attempt."""

FINISH_WITHOUT_VERDICT = FINISH.values(
    status=_new_status, check_error=bindparam("new_error"), checked_at=_now
)
"""The photo stays unreadable or failed."""

LOG = insert(check_log).values(finished_at=_now)

RELEASE = FINISH.values(status=unless_human(literal(Status.PENDING)))

WAITING = select(func.count()).select_from(photos).where(status_is("pending"))
NEXT_PENDING = select(func.min(photos.c.next_attempt_at).label("at"), _now.label("now")).where(
    status_is("pending"), checking_is_on()
)
NEXT_LEASE = select(func.min(photos.c.lease_until).label("at"), _now.label("now")).where(
    status_is("checking")
)


LOGGED = [column.key for column in check_log.columns if column.key not in ("id", "finished_at")]
"""Columns of ``log_row``."""


def log_row(outcome: Outcome) -> dict[str, Any]:
    """Return a row of ``check_log`` without ``finished_at``.

    Every row has all other columns, so that one statement inserts several rows.
    """
    row = dict.fromkeys(LOGGED) | {
        "photo_id": outcome.claim.photo_id,
        "attempt": outcome.claim.attempt,
        "verdict": str(Status.UNREADABLE) if outcome.unreadable else None,
        "batch_size": outcome.batch_size,
        "photo_sha256": outcome.photo_sha256,
        "thumbnail_sha256": outcome.thumbnail_sha256,
        "ms": dict(outcome.ms),
        "error": outcome.error,
    }
    if outcome.decision is not None:
        row |= _decision_columns(outcome.decision)
    if outcome.model_info is not None:
        row |= _model_info_columns(outcome.model_info)
    return row


def _decision_columns(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": str(decision.verdict),
        "score": decision.score,
        "cat_at": decision.cat_at,
        "not_cat_below": decision.not_cat_below,
        "subject": decision.subject,
        "reason": decision.reason and str(decision.reason),
        "wild_feline": decision.wild_feline,
        "turned_deg": decision.turned_deg,
        "profile_id": decision.profile_id,
        "labels": {
            str(rendition): [[label.index, label.name, label.confidence] for label in labels]
            for rendition, labels in decision.labels.items()
        },
        "subject_scores": {
            str(rendition): dict(scores) for rendition, scores in decision.subject_scores.items()
        },
    }


def _model_info_columns(model_info: ModelInfo) -> dict[str, Any]:
    return {
        "model": model_info.model,
        "weights_sha256": model_info.weights_sha256,
        "runtime": model_info.runtime,
        "precision": model_info.precision,
        "device": model_info.device,
        "versions": dict(model_info.versions),
    }
