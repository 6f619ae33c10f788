"""The random audit: people judge randomly drawn photos that a model decided, to measure its errors."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, Select, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.engine import reading, writing
from catloader.store.db.paging import pages
from catloader.store.db.photos.photo_rows import Photo, not_in_bin, status_is
from catloader.store.db.photos.replacements import audit_is_of_present_file, check_is_of_present_file
from catloader.store.db.schema import check_log, photos, random_audits
from catloader.store.db.staff.audit_log import record
from catloader.store.db.staff.decisions import HumanVerdict, close_appeal, decide

_PER_TRANSACTION = 200


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of answers on photos with one verdict of a model."""

    answered: int
    """Photos that people could judge."""
    wrong: int
    cant_tell: int


def is_drawn() -> ColumnElement[bool]:
    """Return the condition that an audit has drawn the photo's present file, answered or not."""
    return exists().where(random_audits.c.photo_id == photos.c.id, audit_is_of_present_file())


class RandomAudits:
    """Photos drawn for an audit, and the answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def draw(self, verdict: HumanVerdict, number: int, actor_id: int, now: datetime) -> int:
        """Draw photos to which a model gave this verdict, with equal probability; return their number.

        Photos that people decided or that were drawn before are left out. Each transaction adds its photos
        to the audit log.
        """
        query = select(photos.c.id).where(_decided_by_model(verdict), ~_was_drawn())
        ids = [row.id for page in pages(self._engine, query, photos.c.id, number) for row in page]
        random.shuffle(ids)  # so that those answered first are a random sample too
        return sum(
            self._enter(verdict, ids[start : start + _PER_TRANSACTION], actor_id, now)
            for start in range(0, len(ids), _PER_TRANSACTION)
        )

    def _enter(self, verdict: HumanVerdict, ids: list[int], actor_id: int, now: datetime) -> int:
        try:
            with writing(self._engine) as connection:
                keep_account(connection, actor_id)
                decisions = {row.photo_id: row._asdict() for row in connection.execute(_decisions_on(ids))}
                rows = [
                    {**decisions[id], "verdict": verdict, "drawn_at": now} for id in ids if id in decisions
                ]
                if rows:
                    connection.execute(insert(random_audits), rows)
                    record(connection, actor_id, "drew photos to audit", f"{len(rows)} {verdict}", now)
        except IntegrityError:  # another draw took one of these photos at the same moment
            return 0
        return len(rows)

    def next(self) -> Photo | None:
        """Return the first drawn photo that has no answer yet."""
        query = (
            select(photos)
            .join(random_audits, random_audits.c.photo_id == photos.c.id)
            .where(_waits())
            .order_by(random_audits.c.id)
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return Photo(**row._mapping) if row else None

    def waiting(self) -> int:
        """Count the photos that ``next`` will return, one after another."""
        query = select(func.count()).select_from(photos).join(random_audits).where(_waits())
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def answer(self, photo_id: int, reviewer_id: int, answer: HumanVerdict | None, now: datetime) -> bool:
        """Write an answer, which is also a reviewer's decision; None: the photo can't be judged.

        Returns:
            False: the photo does not wait for an answer. If its verdict or its file has changed since it was
            drawn, it is removed from the audit.

        Raises:
            NotFound: the reviewer's account was deleted meanwhile.
        """
        lock = select(photos.c.status, photos.c.human_verdict).where(photos.c.id == photo_id, not_in_bin())
        is_open = (random_audits.c.photo_id == photo_id) & _is_open()
        with writing(self._engine) as connection:
            keep_account(connection, reviewer_id)
            photo = connection.execute(lock.with_for_update()).one_or_none()
            verdict = connection.execute(select(random_audits.c.verdict).where(is_open)).scalar_one_or_none()
            if verdict is None:
                return False
            present = select(random_audits.c.id).where(is_open, audit_is_of_present_file())
            is_present = connection.execute(present).first() is not None
            if photo is None or photo.human_verdict or photo.status != verdict or not is_present:
                connection.execute(delete(random_audits).where(is_open))
                return False
            values = {"answer": answer, "answered_at": now}
            connection.execute(update(random_audits).where(is_open).values(values))
            if answer is not None:
                decide(
                    connection,
                    photo_id,
                    answer,
                    reviewer_id=reviewer_id,
                    status_before=verdict,
                    appeal_id=close_appeal(connection, photo_id, now),
                    now=now,
                )
        return True

    def tallies(self, profile_id: str) -> Mapping[str, Tally]:
        """Return the tally of each verdict by this profile that has answers."""
        columns = random_audits.c
        query = (
            select(columns.verdict, columns.answer, func.count().label("number"))
            .where(columns.profile_id == profile_id, columns.answered_at.is_not(None))
            .group_by(columns.verdict, columns.answer)
        )
        with reading(self._engine) as connection:
            numbers = {(row.verdict, row.answer): row.number for row in connection.execute(query)}
        tallies = {}
        for verdict, other in (("cat", "not_cat"), ("not_cat", "cat")):
            right, wrong, cant_tell = (numbers.get((verdict, answer), 0) for answer in (verdict, other, None))
            if right or wrong or cant_tell:
                tallies[verdict] = Tally(right + wrong, wrong, cant_tell)
        return tallies


def reopen(connection: Connection, photo_id: int) -> None:
    """Withdraw the answer on a photo, as part of undoing the decision; "can't tell" stays."""
    of_photo = (random_audits.c.photo_id == photo_id) & random_audits.c.answer.is_not(None)
    connection.execute(update(random_audits).where(of_photo).values(answer=None, answered_at=None))


def _is_open() -> ColumnElement[bool]:
    return random_audits.c.answered_at.is_(None)


def _waits() -> ColumnElement[bool]:
    """Return the condition that an answer is possible: the photo's verdict and file are still as drawn."""
    unchanged = (photos.c.status == random_audits.c.verdict) & photos.c.human_verdict.is_(None)
    return _is_open() & unchanged & not_in_bin() & audit_is_of_present_file()


def _decided_by_model(verdict: HumanVerdict) -> ColumnElement[bool]:
    return status_is(verdict) & photos.c.human_verdict.is_(None) & not_in_bin()


def _was_drawn() -> ColumnElement[bool]:
    return exists().where(random_audits.c.photo_id == photos.c.id)


def _decisions_on(ids: list[int]) -> Select[tuple[int, int, str]]:
    """Select the latest decision of a model on each photo's present file."""
    newest = (
        select(func.max(check_log.c.id))
        .where(check_log.c.photo_id.in_(ids), check_log.c.score.is_not(None), check_is_of_present_file())
        .group_by(check_log.c.photo_id)
    )
    columns = (
        check_log.c.photo_id.label("photo_id"),
        check_log.c.id.label("check_log_id"),
        check_log.c.profile_id.label("profile_id"),
    )
    return select(*columns).where(check_log.c.id.in_(newest), check_log.c.profile_id.is_not(None))
