"""Rechecks: put finished photos back into the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, literal, select, update

from catloader.errors import NotFound
from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.clock import database_now, later
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.photo_rows import UNCHECKED, not_in_bin
from catloader.store.db.schema import Status, check_log, photos
from catloader.store.db.staff.audit_log import record
from checker.plurals import counted

FINISHED = (Status.CAT, Status.UNSURE, Status.NOT_CAT, Status.UNREADABLE, Status.FAILED)
_BATCH = 1000
"""Rows per transaction: uploads and checks take their turn in between."""


@dataclass(frozen=True, slots=True)
class RecheckFilter:
    """Criteria for finished photos; a photo must meet all that are set."""

    model_digest: str | None = None
    """First digits of the SHA-256 of the weights that made the photo's latest verdict."""
    status: Status | None = None
    since: datetime | None = None
    """Checked since this time."""


class Rechecks:
    """Finished photos, counted and requeued. Photos with a person's verdict are never requeued."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, criteria: RecheckFilter) -> int:
        """Count the photos that ``requeue`` would take."""
        return self._count(*conditions_of(criteria), photos.c.human_verdict.is_(None))

    def count_decided_by_people(self, criteria: RecheckFilter) -> int:
        """Count the matching photos that are not requeued, because a person has decided."""
        return self._count(*conditions_of(criteria), photos.c.human_verdict.is_not(None))

    def require_weights(self, criteria: RecheckFilter) -> None:
        """Refuse a digest of weights with which no check was made: it is mistyped, or from another site.

        Raises:
            NotFound: no check used these weights; the message lists the weights that were used.
        """
        if criteria.model_digest is None:
            return
        used = select(check_log.c.weights_sha256, check_log.c.model).where(check_log.c.verdict.is_not(None))
        used = used.where(check_log.c.weights_sha256.is_not(None)).distinct().order_by(check_log.c.model)
        with reading(self._engine) as connection:
            if connection.execute(select(exists().where(_by_weights(criteria.model_digest)))).scalar_one():
                return
            all_used = connection.execute(used).all()
        names = ", ".join(f"{row.weights_sha256[:8]} ({row.model})" for row in all_used) or "none"
        raise NotFound(
            "No check used weights whose sha256 begins with %(digest)s; used so far: %(names)s.",
            digest=criteria.model_digest,
            names=names,
        )

    def requeue(
        self, criteria: RecheckFilter, limit: int | None = None, *, actor_id: int | None = None
    ) -> int:
        """Make matching photos ``pending`` with all attempts available, oldest first; return their number.

        A photo that a person decides meanwhile keeps that verdict.

        Args:
            actor_id: an administrator; each batch is recorded in the audit log. None: nothing is recorded.
        """
        last_id, requeued = 0, 0  # by id, so that a photo that is checked again meanwhile is not taken twice
        by_model = photos.c.human_verdict.is_(None)
        while limit is None or requeued < limit:
            batch = _BATCH if limit is None else min(_BATCH, limit - requeued)
            query = (
                select(photos.c.id)
                .where(photos.c.id > last_id, *conditions_of(criteria), by_model)
                .order_by(photos.c.id)
                .limit(batch)
            )
            with writing(self._engine) as connection:
                if actor_id is not None:
                    keep_account(connection, actor_id)
                ids = list(connection.execute(query).scalars())
                if not ids:
                    break
                # Conditions again, because PostgreSQL re-evaluates them on a row that has just changed.
                unchanged = photos.c.id.in_(ids) & photos.c.status.in_(FINISHED) & by_model
                number = requeue(connection, unchanged)
                requeued += number
                if actor_id is not None and number:
                    act = f"re-queued {criteria.status or 'finished'} photos"
                    record(connection, actor_id, act, counted(number, "photo"), utcnow())
            last_id = ids[-1]
        return requeued

    def requeue_own(self, ids: Sequence[int], owner_id: int) -> int:
        """Make those of ``ids`` that are finished photos of the owner ``pending``; return their number."""
        is_own = photos.c.id.in_(ids) & (photos.c.owner_id == owner_id) & not_in_bin()
        with writing(self._engine) as connection:
            by_model = photos.c.human_verdict.is_(None)
            return requeue(connection, is_own & photos.c.status.in_(FINISHED) & by_model)

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(photos).where(*conditions)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()


def requeue(connection: Connection, condition: ColumnElement[bool], delay_s: float = 0.0) -> int:
    """Make matching photos ``pending`` with all attempts available, within the caller's transaction.

    Args:
        delay_s: time until they are due.
    """
    values = UNCHECKED | {"next_attempt_at": later(database_now(), literal(delay_s))}
    return connection.execute(update(photos).where(condition).values(values)).rowcount


def conditions_of(criteria: RecheckFilter) -> list[ColumnElement[bool]]:
    """Return the conditions for finished photos outside the bin that meet the criteria."""
    conditions: list[ColumnElement[bool]] = [photos.c.status.in_(FINISHED), not_in_bin()]
    if criteria.status is not None:
        conditions.append(photos.c.status == criteria.status)
    if criteria.since is not None:
        conditions.append(photos.c.checked_at >= criteria.since)
    if criteria.model_digest is not None:
        of_photo = check_log.alias()
        latest = (
            select(func.max(of_photo.c.id))
            .where(of_photo.c.photo_id == photos.c.id, of_photo.c.verdict.is_not(None))
            .correlate(photos)
            .scalar_subquery()
        )
        conditions.append(exists().where(check_log.c.id == latest, _by_weights(criteria.model_digest)))
    return conditions


def _by_weights(digest: str) -> ColumnElement[bool]:
    """Return the condition that a verdict was made with the weights whose sha256 begins with ``digest``."""
    weights = check_log.c.weights_sha256.startswith(digest, autoescape=True)
    return and_(check_log.c.verdict.is_not(None), weights)
