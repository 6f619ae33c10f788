"""Appeals of owners and decisions of reviewers. Every decision and every undoing is a permanent row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.checks.check_log import lies_otherwise
from catloader.store.db.checks.rechecks import FINISHED
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.photo_rows import UNCHECKED, Photo, not_in_bin, status_is
from catloader.store.db.photos.replacements import review_is_of_present_file
from catloader.store.db.schema import Status, appeals, photos, reviews
from catloader.store.db.staff.audit_log import record
from catloader.store.db.staff.decisions import HumanVerdict, close_appeal, decide, set_verdict
from catloader.store.db.staff.random_audits import is_drawn, reopen
from catloader.store.db.staff.takedowns import is_taken_down


@dataclass(frozen=True, slots=True)
class Appeal:
    """An owner's request for another verdict; open until it is withdrawn or a reviewer decides."""

    id: int
    photo_id: int
    wish: HumanVerdict
    reason: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Review:
    """One act of a reviewer."""

    id: int
    photo_id: int
    reviewer_id: int | None
    """None: the reviewer's account was deleted."""
    appeal_id: int | None
    made_at: datetime
    verdict: HumanVerdict | None
    """None: the previous decision was undone."""
    note: str
    status_before: str


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A photo that waits for a reviewer."""

    photo: Photo
    appeal: Appeal | None

    @property
    def place(self) -> tuple[bool, int]:
        """The position in the queue: appeals come first, and the oldest first."""
        return (self.appeal is None, self.photo.id if self.appeal is None else self.appeal.id)


_APPEAL = tuple(column.label(column.key) for column in appeals.columns)
_REVIEW = tuple(column.label(column.key) for column in reviews.columns)
_is_open = appeals.c.closed_at.is_(None)
_waits = _is_open & exists().where(photos.c.id == appeals.c.photo_id, not_in_bin())
"""An appeal is not in the queue while its photo is in the bin."""


class Reviews:
    """Appeals, the queue of reviewers, and their decisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def appeal(self, photo_id: int, owner_id: int, wish: HumanVerdict, reason: str, now: datetime) -> bool:
        """Open an appeal.

        False: it is not a finished photo of this owner, an appeal is open, a person has decided, or the
        verdict is the one that the owner wants.
        """
        is_own = (photos.c.id == photo_id) & (photos.c.owner_id == owner_id) & not_in_bin()
        finished = photos.c.status.in_(FINISHED) & photos.c.human_verdict.is_(None)
        appealable = select(photos.c.id).where(is_own, finished, photos.c.status != wish).with_for_update()
        row = {"photo_id": photo_id, "wish": wish, "reason": reason, "opened_at": now}
        try:
            with writing(self._engine) as connection:
                if connection.execute(appealable).first() is None:
                    return False
                connection.execute(insert(appeals).values(row))
        except IntegrityError:  # uq_appeals_open
            return False
        return True

    def withdraw(self, photo_id: int, owner_id: int, now: datetime) -> bool:
        """Close the open appeal; False: there is none for a photo of this owner."""
        is_own = exists().where(photos.c.id == photo_id, photos.c.owner_id == owner_id)
        query = update(appeals).where(appeals.c.photo_id == photo_id, _is_open, is_own).values(closed_at=now)
        with writing(self._engine) as connection:
            return connection.execute(query).rowcount == 1

    def appeals_of(self, photo_id: int) -> list[Appeal]:
        """Return all appeals of a photo, oldest first."""
        query = select(*_APPEAL).where(appeals.c.photo_id == photo_id).order_by(appeals.c.id)
        with reading(self._engine) as connection:
            return [Appeal(**row._mapping) for row in connection.execute(query)]

    def of_photo(self, photo_id: int) -> list[Review]:
        """Return all decisions on a photo, oldest first."""
        query = select(*_REVIEW).where(reviews.c.photo_id == photo_id).order_by(reviews.c.id)
        with reading(self._engine) as connection:
            return [Review(**row._mapping) for row in connection.execute(query)]

    def queue(self, after: tuple[bool, int] | None, limit: int) -> list[QueueItem]:
        """Return photos after a position in the queue: open appeals, then unsure photos, oldest first."""
        after_appeal, after_photo = (after[1], 0) if after and not after[0] else (0, after[1] if after else 0)
        items: list[QueueItem] = []
        with reading(self._engine) as connection:
            if after is None or not after[0]:
                items = _appealed(connection, appeals.c.id > after_appeal, limit)
            query = select(photos).where(_unsure(), photos.c.id > after_photo)
            rows = connection.execute(query.order_by(photos.c.id).limit(limit - len(items)))
            return items + [QueueItem(Photo(**row._mapping), None) for row in rows]

    def item(self, photo_id: int) -> QueueItem | None:
        """Return the photo if it waits for a reviewer."""
        with reading(self._engine) as connection:
            items = _appealed(connection, appeals.c.photo_id == photo_id, 1)
            query = select(photos).where(_unsure(), photos.c.id == photo_id)
            row = None if items else connection.execute(query).one_or_none()
        return items[0] if items else QueueItem(Photo(**row._mapping), None) if row else None

    def counts(self) -> tuple[int, int]:
        """Count the open appeals and the unsure photos without an appeal."""
        unsure = select(func.count()).select_from(photos).where(_unsure())
        with reading(self._engine) as connection:
            of_appeals = connection.execute(select(func.count()).select_from(appeals).where(_waits))
            return of_appeals.scalar_one(), connection.execute(unsure).scalar_one()

    def decide(
        self,
        photo_id: int,
        reviewer_id: int,
        verdict: HumanVerdict,
        note: str,
        now: datetime,
        *,
        seen_sha256: str | None = None,
    ) -> bool:
        """Write a person's verdict, close the appeal and record the decision, in one transaction.

        Args:
            seen_sha256: digest of the file that the reviewer saw; None: unknown.
        Returns:
            False: the photo does not wait for a reviewer (any more), or has another file now.
        Raises:
            NotFound: the reviewer's account was deleted meanwhile.
        """
        lock = select(photos.c.status).where(photos.c.id == photo_id, not_in_bin())
        if seen_sha256 is not None:
            lock = lock.where(photos.c.sha256 == seen_sha256)
        has_appeal = select(appeals.c.id).where(appeals.c.photo_id == photo_id, _is_open)
        with writing(self._engine) as connection:
            keep_account(connection, reviewer_id)
            status = connection.execute(lock.with_for_update()).scalar_one_or_none()
            waits = status == Status.UNSURE or connection.execute(has_appeal).first() is not None
            if status is None or not waits:
                return False
            decide(
                connection,
                photo_id,
                verdict,
                reviewer_id=reviewer_id,
                status_before=status,
                appeal_id=close_appeal(connection, photo_id, now),
                note=note,
                now=now,
            )
        return True

    def last_of(self, reviewer_id: int) -> Review | None:
        """Return the reviewer's newest decision that can be undone: its photo has no later decision."""
        query = select(*_REVIEW).where(reviews.c.reviewer_id == reviewer_id, _is_undoable())
        with reading(self._engine) as connection:
            row = connection.execute(query.order_by(reviews.c.id.desc()).limit(1)).one_or_none()
        return Review(**row._mapping) if row else None

    def undo(self, reviewer_id: int, now: datetime, review_id: int | None = None) -> int | None:
        """Undo the decision of ``last_of``, restoring verdict and appeal; return the photo's id.

        Args:
            review_id: undo only if ``last_of`` is this decision; None: undo it in any case.
        Raises:
            NotFound: the reviewer's account was deleted meanwhile.
        """
        last = self.last_of(reviewer_id)
        if last is None or review_id not in (None, last.id):
            return None
        before = Status.PENDING if last.status_before == Status.CHECKING else last.status_before
        with writing(self._engine) as connection:
            keep_account(connection, reviewer_id)
            lock = select(photos.c.status).where(photos.c.id == last.photo_id).with_for_update()
            status = connection.execute(lock).scalar_one_or_none()
            is_still = select(reviews.c.id).where(reviews.c.id == last.id, _is_undoable())
            if status is None or connection.execute(is_still).first() is None:
                return None
            set_verdict(connection, last.photo_id, None, before, now)
            if lies_otherwise(connection, last.photo_id):  # cut or rotated since the model decided
                anew = UNCHECKED | {"begun_at": None, "next_attempt_at": now}
                connection.execute(update(photos).where(photos.c.id == last.photo_id).values(anew))
            connection.execute(update(appeals).where(appeals.c.id == last.appeal_id).values(closed_at=None))
            reopen(connection, last.photo_id)
            row: dict[str, Any] = {"photo_id": last.photo_id, "reviewer_id": reviewer_id}
            row["appeal_id"] = last.appeal_id
            row |= {"made_at": now, "verdict": None, "note": "", "status_before": status}
            connection.execute(insert(reviews).values(row))
            record(connection, reviewer_id, "undid a decision", f"photo {last.photo_id}", now)
        return last.photo_id

    def may_see(self, photo_id: int) -> bool:
        """Return True if reviewers may see the photo: it waits, or was reviewed, taken down or drawn."""
        reviewed = exists().where(reviews.c.photo_id == photos.c.id, review_is_of_present_file())
        seen = (photos.c.status == Status.UNSURE) | _has_appeal() | reviewed | is_taken_down() | is_drawn()
        query = select(photos.c.id).where(photos.c.id == photo_id, seen, not_in_bin())
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None


def _is_undoable() -> ColumnElement[bool]:
    """Return the condition of a decision on a photo's present file that no other decision followed."""
    later = reviews.alias()
    has_later = exists().where(later.c.photo_id == reviews.c.photo_id, later.c.id > reviews.c.id)
    return reviews.c.verdict.is_not(None) & ~has_later & review_is_of_present_file()


def _unsure() -> ColumnElement[bool]:
    return status_is("unsure") & not_in_bin() & ~_has_appeal()


def _has_appeal() -> ColumnElement[bool]:
    return exists().where(appeals.c.photo_id == photos.c.id, _is_open)


def _appealed(connection: Connection, condition: ColumnElement[bool], limit: int) -> list[QueueItem]:
    query = select(*_APPEAL).where(_waits, condition).order_by(appeals.c.id).limit(limit)
    page = [Appeal(**row._mapping) for row in connection.execute(query)]
    rows = connection.execute(select(photos).where(photos.c.id.in_([appeal.photo_id for appeal in page])))
    by_id = {row.id: Photo(**row._mapping) for row in rows}
    return [QueueItem(by_id[appeal.photo_id], appeal) for appeal in page]
