"""Limits of each account, on photos and bytes: those of the settings unless an administrator set others."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, func, select

from catloader.errors import QuotaReached
from catloader.languages import ngettext_noop
from catloader.store.db.accounts.usage import Used
from catloader.store.db.engine import reading
from catloader.store.db.schema import photos, users

_PHOTOS_REACHED = ngettext_noop(
    "You have %(used)d of %(num)d photo. Delete it and empty the bin.",
    "You have %(used)d of %(num)d photos. Delete some and empty the bin.",
)


class Quota(NamedTuple):
    """Limits of an account; 0: none."""

    photos: int
    size_bytes: int


class Quotas:
    """The limits on what accounts may store.

    Args:
        usual: for accounts without limits set by an administrator.
    """

    def __init__(self, engine: Engine, usual: Quota) -> None:
        self._engine, self.usual = engine, usual

    def of(self, user_id: int) -> Quota:
        with reading(self._engine) as connection:
            return self._read(connection, _limits(user_id))

    def refuse_full(self, connection: Connection, owner_id: int, size_bytes: int) -> None:
        """Check that one more photo fits; lock the account's row, so that no two uploads use the same space.

        Raises:
            QuotaReached: it does not.
        """
        quota, used = self._locked(connection, owner_id)
        if quota.photos and used.photos >= quota.photos:
            raise QuotaReached(_PHOTOS_REACHED, used=used.photos, num=quota.photos)
        self._refuse_bytes(quota, used, size_bytes)

    def refuse_growth(self, connection: Connection, owner_id: int, size_bytes: int) -> None:
        """Check that a photo may grow by ``size_bytes``; as ``refuse_full``."""
        quota, used = self._locked(connection, owner_id)
        if size_bytes > 0:
            self._refuse_bytes(quota, used, size_bytes)

    def _locked(self, connection: Connection, owner_id: int) -> tuple[Quota, Used]:
        """Lock the account's row and return its limits and usage; without a limit usage is not counted."""
        quota = self._read(connection, _limits(owner_id).with_for_update())
        if not any(quota):
            return quota, Used(0, 0)
        columns = (func.count(), func.coalesce(func.sum(photos.c.size_bytes), 0))
        used = select(*columns).where(photos.c.owner_id == owner_id)
        return quota, Used(*connection.execute(used).one())

    def _refuse_bytes(self, quota: Quota, used: Used, size_bytes: int) -> None:
        if quota.size_bytes and used.size_bytes + size_bytes > quota.size_bytes:
            raise QuotaReached("Your storage is full. Delete some photos and empty the bin.")

    def _read(self, connection: Connection, limits: Select[Any]) -> Quota:
        row = connection.execute(limits).one_or_none()
        own = tuple(row) if row else (None, None)
        return Quota(*(usual if one is None else one for one, usual in zip(own, self.usual, strict=True)))


def _limits(user_id: int) -> Select[Any]:
    return select(users.c.max_photos, users.c.max_bytes).where(users.c.id == user_id)
