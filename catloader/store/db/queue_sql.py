"""The queue's statements, built once: building one anew for every claim takes longer than running it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    update,
)

from catloader.store.db.photos import status_is
from catloader.store.db.schema import Status, UtcDateTime, check_log, images
from checker.ports import Decision, ModelStamp, Outcome

_now: ColumnElement[Any] = bindparam("now", type_=UtcDateTime())
_ours = (images.c.id == bindparam("image_id")) & (images.c.claim_token == bindparam("token"))


def _locked(query: Select[Any]) -> Select[Any]:
    """The rows nobody else is taking just now.

    Materialised, because the planner may run a sub-select several times, each with other rows locked
    and skipped: more than the limit would be taken.
    """
    rows = query.with_for_update(skip_locked=True).cte().prefix_with("MATERIALIZED", dialect="postgresql")
    return select(rows.c.id)


def unless_human(status: ColumnElement[Any]) -> ColumnElement[Any]:
    """A person's verdict stands, whatever a checker finds afterwards."""
    return case((images.c.human_verdict.is_(None), status), else_=images.c.human_verdict)


_over = select(images.c.id).where(status_is("checking"), images.c.lease_until < _now)
_used_up = images.c.attempts >= bindparam("max_attempts")
_times = case((images.c.attempts == 1, literal("once")), else_=cast(images.c.attempts, String) + " times")

TAKE_BACK = (
    update(images)
    .where(images.c.id.in_(_locked(_over)))
    .values(
        status=unless_human(case((_used_up, literal(Status.FAILED)), else_=literal(Status.PENDING))),
        check_error=literal("The checker stopped in the middle of this photo ") + _times + ".",
        claim_token=None,
        lease_until=None,
        next_attempt_at=_now,
        checked_at=case((_used_up, _now), else_=images.c.checked_at),
    )
    .returning(images.c.id, images.c.attempts, images.c.check_error)
)
"""Leases that ran out: back to pending, or failed when the attempts are used up."""

_due = (
    select(images.c.id)
    .where(status_is("pending"), images.c.next_attempt_at <= _now)
    .order_by(images.c.next_attempt_at, images.c.id)
    .limit(bindparam("limit"))
)

CLAIM = (
    update(images)
    .where(images.c.id.in_(_locked(_due)))
    .values(
        status=Status.CHECKING,
        claim_token=bindparam("token"),
        lease_until=bindparam("lease_until"),
        attempts=images.c.attempts + 1,
    )
    .returning(
        images.c.id,
        images.c.photo_key,
        images.c.thumbnail_key,
        images.c.attempts,
        images.c.next_attempt_at,
    )
)

FINISH = update(images).where(_ours, status_is("checking")).values(claim_token=None, lease_until=None)

_new_status = unless_human(bindparam("new_status", type_=String()))

DECIDED = FINISH.values(
    status=_new_status,
    score=bindparam("new_score"),
    wild_feline=bindparam("new_wild_feline"),
    calibrated=bindparam("new_calibrated"),
    check_error=None,
    checked_at=_now,
)

PUT_OFF = FINISH.values(
    status=unless_human(literal(Status.PENDING)),
    check_error=bindparam("new_error"),
    next_attempt_at=bindparam("due"),
)
"""Until the next attempt."""

ENDED = FINISH.values(status=_new_status, check_error=bindparam("new_error"), checked_at=_now)
"""Without a verdict, for good."""

LOG = insert(check_log)

RELEASE = FINISH.values(status=unless_human(literal(Status.PENDING)), attempts=images.c.attempts - 1)

WAITING = select(func.count()).select_from(images).where(status_is("pending"))
NEXT_PENDING = select(func.min(images.c.next_attempt_at)).where(status_is("pending"))
NEXT_LEASE = select(func.min(images.c.lease_until)).where(status_is("checking"))


_LOGGED = [column.name for column in check_log.columns if column.name not in ("id", "finished_at")]


def log_row(outcome: Outcome) -> dict[str, Any]:
    """One row of ``check_log``, less ``finished_at``; all have the same columns, to go in one statement."""
    row = dict.fromkeys(_LOGGED) | {
        "image_id": outcome.claim.image_id,
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
    if outcome.stamp is not None:
        row |= _stamp_columns(outcome.stamp)
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


def _stamp_columns(stamp: ModelStamp) -> dict[str, Any]:
    return {
        "model": stamp.model,
        "weights_sha256": stamp.weights_sha256,
        "runtime": stamp.runtime,
        "precision": stamp.precision,
        "device": stamp.device,
        "versions": dict(stamp.versions),
    }
