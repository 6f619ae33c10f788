"""Finished count that shall be checked again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, exists, func, select, update

from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import Status, check_log, photos

FINISHED = (Status.CAT, Status.UNSURE, Status.NOT_CAT, Status.UNREADABLE, Status.FAILED)
_AT_ONCE = 1000
"""Rows of one transaction: uploads and checks get their turn in between."""


@dataclass(frozen=True, slots=True)
class Which:
    """All that is named must hold."""

    model_digest: str | None = None
    """The first digits of the sha256 of the weights that the photo's latest verdict rests on."""
    band: Status | None = None
    since: datetime | None = None
    """Checked then or later."""


class Rechecks:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, which: Which) -> int:
        return self._count(*_chosen(which), photos.c.human_verdict.is_(None))

    def count_decided_by_people(self, which: Which) -> int:
        """Those that stay as they are."""
        return self._count(*_chosen(which), photos.c.human_verdict.is_not(None))

    def set_back(self, which: Which, now: datetime, limit: int | None = None) -> int:
        """Finished count become ``pending``, with all attempts before them; how many did.

        What a person has decided stays, also where that happens while this runs.
        """
        after, count = 0, 0  # by id: what a checker finishes meanwhile is not set back a second time
        machine_made = photos.c.human_verdict.is_(None)
        while limit is None or count < limit:
            at_once = _AT_ONCE if limit is None else min(_AT_ONCE, limit - count)
            some = (
                select(photos.c.id)
                .where(photos.c.id > after, *_chosen(which), machine_made)
                .order_by(photos.c.id)
                .limit(at_once)
            )
            with writing(self._engine) as connection:
                ids = list(connection.execute(some).scalars())
                if not ids:
                    break
                # Repeated: PostgreSQL evaluates the condition again on a row that has just changed.
                back = update(photos).where(photos.c.id.in_(ids), photos.c.status.in_(FINISHED), machine_made)
                count += connection.execute(
                    back.values(
                        status=Status.PENDING,
                        attempts=0,
                        next_attempt_at=now,
                        claim_token=None,
                        lease_until=None,
                        check_error=None,
                        score=None,
                        wild_feline=False,
                        calibrated=False,
                        checked_at=None,
                    )
                ).rowcount
            after = ids[-1]
        return count

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        with reading(self._engine) as connection:
            return connection.execute(
                select(func.count()).select_from(photos).where(*conditions)
            ).scalar_one()


def _chosen(which: Which) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [photos.c.status.in_(FINISHED)]
    if which.band is not None:
        conditions.append(photos.c.status == which.band)
    if which.since is not None:
        conditions.append(photos.c.checked_at >= which.since)
    if which.model_digest is not None:
        of_photo = check_log.alias()
        latest = (
            select(func.max(of_photo.c.id))
            .where(of_photo.c.photo_id == photos.c.id, of_photo.c.verdict.is_not(None))
            .correlate(photos)
            .scalar_subquery()
        )
        rests_on = check_log.c.weights_sha256.startswith(which.model_digest, autoescape=True)
        conditions.append(exists().where(check_log.c.id == latest, rests_on))
    return conditions
