"""Each account's limits on photos and bytes: those of the settings, or others that an administrator set."""

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
    """Limits of an account; 0: unlimited."""

    photos: int
    size_bytes: int


class Quotas:
    """The limits on what accounts may store.

    Args:
        usual: limits of accounts for which no administrator has set others.
    """

    def __init__(self, engine: Engine, usual: Quota) -> None:
        self._engine, self.usual = engine, usual

    def of(self, user_id: int) -> Quota:
        with reading(self._engine) as connection:
            return self._read(connection, _limits(user_id))

    def refuse_full(self, connection: Connection, owner_id: int, size_bytes: int) -> None:
        """Check that one more photo fits.

        The account's row is locked, so that two uploads can't use the same space.

        Raises:
            QuotaReached: the photo does not fit.
        """
        quota, used = self._locked(connection, owner_id)
        if quota.photos and used.photos >= quota.photos:
            raise QuotaReached(_PHOTOS_REACHED, used=used.photos, num=quota.photos)
        self._refuse_bytes(quota, used, size_bytes)

    def refuse_growth(self, connection: Connection, owner_id: int, size_bytes: int) -> None:
        """Check that a photo may grow by ``size_bytes``; otherwise like ``refuse_full``."""
        quota, used = self._locked(connection, owner_id)
        if size_bytes > 0:
            self._refuse_bytes(quota, used, size_bytes)

    def _locked(self, connection: Connection, owner_id: int) -> tuple[Quota, Used]:
        """Lock the account's row and return its limits and usage; usage is not counted without a limit."""
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
        limits_set = tuple(row) if row else (None, None)
        pairs = zip(limits_set, self.usual, strict=True)
        return Quota(*(usual if limit is None else limit for limit, usual in pairs))


def _limits(user_id: int) -> Select[Any]:
    return select(users.c.max_photos, users.c.max_bytes).where(users.c.id == user_id)
