"""Step 3, record: the photos' rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Engine,
    Select,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from catloader.errors import KeyInUse, NotFound, StoreUnavailable
from catloader.store.db.accounts.quotas import Quotas
from catloader.store.db.clock import now_or
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.paging import pages
from catloader.store.db.photos.deletions import cancel, expire, reserve
from catloader.store.db.photos.photo_rows import (
    DECIDED,
    DecidedPhoto,
    NewPhoto,
    Photo,
    decided_photo,
    has_verdict,
    not_in_bin,
    status_is,
)
from catloader.store.db.photos.upload_keys import UploadKey, add_key
from catloader.store.db.schema import Status, photos
from catloader.store.kinds import ObjectKind, StoredObject
from catloader.texts import folded


class Photos:
    """The rows of photos."""

    def __init__(self, engine: Engine, quotas: Quotas | None = None) -> None:
        self._engine, self._quotas = engine, quotas

    def refuse_full(self, owner_id: int, size_bytes: int) -> None:
        """Check that one more photo fits, before it is received; ``add`` checks again.

        Raises:
            QuotaReached: the account has no room for the photo.
        """
        if self._quotas:
            with writing(self._engine) as connection:
                self._quotas.refuse_full(connection, owner_id, size_bytes)

    def same(self, owner_id: int, sha256: str) -> int | None:
        """Return the id of this owner's first photo outside the bin with the same stored bytes."""
        is_own = (photos.c.owner_id == owner_id) & (photos.c.sha256 == sha256) & not_in_bin()
        with reading(self._engine) as connection:
            return connection.execute(select(func.min(photos.c.id)).where(is_own)).scalar()

    def reserve(self, new: NewPhoto, not_before: datetime | None = None) -> None:
        """Enter both keys in the deletion ledger before objects are put; ``add`` cancels the reservation.

        If the upload stops in between, the objects are deleted at ``not_before``; None: after
        ``RESERVED_FOR_S``.

        Raises:
            QuotaReached: the account has no room for the photo; nothing is reserved.
        """
        with writing(self._engine) as connection:
            if self._quotas:
                self._quotas.refuse_full(connection, new.owner_id, new.size_bytes)
            reserve(connection, _objects(new), not_before)

    def add(self, new: NewPhoto, now: datetime | None = None, key: UploadKey | None = None) -> int:
        """Insert the `pending` row and cancel the reservation of its two keys, in one transaction.

        The check is due ``now`` (None: by the database's clock). If the photo is refused, its objects become
        due for deletion, at once or when their reservation ends.

        Args:
            key: idempotency key of the upload, added in the same transaction so that a repeated upload makes
                no second photo.

        Raises:
            NotFound: the account is gone.
            KeyInUse: a photo with this key was added meanwhile.
            StoreUnavailable: the reservation expired, so the objects may be deleted already.
            QuotaReached: the account has no room for the photo.
        """
        values = {
            **asdict(new),
            "caption_folded": folded(new.caption),
            "status": Status.PENDING,
            "next_attempt_at": now_or(now),
            "created_at": now_or(now),
        }
        objects = _objects(new)
        try:
            with writing(self._engine) as connection:
                if self._quotas:
                    self._quotas.refuse_full(connection, new.owner_id, new.size_bytes)
                if cancel(connection, objects, now):
                    row = connection.execute(insert(photos).values(values).returning(photos.c.id))
                    id = int(row.scalar_one())
                    if key is not None:
                        add_key(connection, new.owner_id, key, id, now or utcnow())
                    return id
        except IntegrityError as error:
            with writing(self._engine) as connection:
                expire(connection, objects, now)
            if key is not None and "upload_keys" in str(error.orig):
                raise KeyInUse("The same upload was just stored. Send the request again.") from error
            raise NotFound("This account does not exist any more.") from error
        raise StoreUnavailable("The upload took too long. Please try again.")

    def by_id(self, id: int) -> Photo | None:
        """Return a photo; None: it does not exist or is in the bin."""
        rows = self._all(select(photos).where(photos.c.id == id, not_in_bin()))
        return rows[0] if rows else None

    def statuses(self, owner_id: int, ids: Sequence[int]) -> list[Photo]:
        """Return this owner's photos among ``ids`` that are not in the bin."""
        is_own = photos.c.id.in_(ids) & (photos.c.owner_id == owner_id) & not_in_bin()
        return self._all(select(photos).where(is_own))

    def waiting(self, limit: int) -> list[Photo]:
        """Return the head of the queue: photos being checked, then waiting photos, longest due first."""
        checking = self._all(
            select(photos)
            .where(status_is("checking"))
            .order_by(photos.c.lease_until, photos.c.id)
            .limit(limit)
        )
        pending = select(photos).where(status_is("pending")).order_by(photos.c.next_attempt_at, photos.c.id)
        return checking + self._all(pending.limit(limit - len(checking)))

    def due_since(self) -> datetime | None:
        """Return the earliest time at which a waiting photo is due; None: no photo waits."""
        query = select(func.min(photos.c.next_attempt_at)).where(status_is("pending"))
        with reading(self._engine) as connection:
            return connection.execute(query).scalar()

    def count_waiting(self, most: int) -> int:
        """Count the photos that wait for a checker; the count stops at ``most``."""
        some = select(photos.c.id).where(status_is("pending")).limit(most).subquery()
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def decided(self, sample: int | None = None) -> Iterator[Sequence[DecidedPhoto]]:
        """Yield pages of photos outside the bin that a model or a person has decided, by rising id.

        Args:
            sample: only this number of photos, drawn at random.
        """
        for rows in pages(self._engine, select(*DECIDED).where(has_verdict()), photos.c.id, sample):
            yield [decided_photo(row) for row in rows]

    def reviewed(self) -> list[DecidedPhoto]:
        """Return the photos that have a person's verdict, by rising id."""
        query = (
            select(*DECIDED).where(photos.c.human_verdict.is_not(None), not_in_bin()).order_by(photos.c.id)
        )
        with reading(self._engine) as connection:
            return [decided_photo(row) for row in connection.execute(query)]

    def count_by_status(self) -> dict[str, int]:
        """Return the number of photos by status, including photos in the bin, and 0 for unused statuses."""
        counted = dict.fromkeys(map(str, Status), 0)
        with reading(self._engine) as connection:
            for where in (not_in_bin(), ~not_in_bin()):  # an index suffices for each
                query = select(photos.c.status, func.count().label("photos")).where(where)
                for row in connection.execute(query.group_by(photos.c.status)):
                    counted[row.status] += row.photos
        return counted

    def count_by_owner(self) -> dict[int, int]:
        """Return the number of photos by owner; owners without photos are left out."""
        query = select(photos.c.owner_id, func.count().label("photos")).group_by(photos.c.owner_id)
        with reading(self._engine) as connection:
            return {row.owner_id: row.photos for row in connection.execute(query)}

    def set_caption(self, id: int, owner_id: int, caption: str) -> bool:
        """Replace the caption; False: this owner has no such photo."""
        is_own = (photos.c.id == id) & (photos.c.owner_id == owner_id) & not_in_bin()
        values = {"caption": caption, "caption_folded": folded(caption)}
        with writing(self._engine) as connection:
            return connection.execute(update(photos).where(is_own).values(values)).rowcount == 1

    def _all(self, query: Select[Any]) -> list[Photo]:
        with reading(self._engine) as connection:
            return [Photo(**row._mapping) for row in connection.execute(query)]


def _objects(new: NewPhoto) -> list[StoredObject]:
    return [
        StoredObject(ObjectKind.PHOTO, new.photo_key),
        StoredObject(ObjectKind.THUMBNAIL, new.thumbnail_key),
    ]
