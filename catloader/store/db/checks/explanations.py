"""The photos' explanations: the columns with the key of the object and the decision that it explains."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, select, update

from catloader.errors import StoreUnavailable
from catloader.store.db.engine import writing
from catloader.store.db.photos.deletions import cancel, expire, mark_due, reserve
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind, StoredObject


class Explanations:
    """One explanation per photo; the key of every object is in a photo's row or in the deletion ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, key: str, not_before: datetime | None = None) -> None:
        """Enter the key in the deletion ledger before the object is put; ``keep`` cancels the reservation."""
        with writing(self._engine) as connection:
            reserve(connection, [_explanation(key)], not_before)

    def keep(
        self,
        photo_id: int,
        key: str,
        of: str,
        now: datetime | None = None,
        *,
        lost: str | None = None,
        photo_key: str | None = None,
    ) -> str | None:
        """Write the row's columns and cancel the reservation of ``key``, in one transaction.

        Other explanations become due for deletion at once: an outdated one, and ``key`` itself if the photo
        is gone or another request has stored an explanation of the same decision meanwhile.

        Args:
            of: digest of the decision that is explained.
            lost: a key that the row may have although its object is missing from the object store.
            photo_key: key of the file that is explained; None: that of the photo's present file.

        Returns:
            The key that the row has now; None: the photo is gone, or has another file.
        Raises:
            StoreUnavailable: the reservation expired, so the object may be deleted already.
        """
        new = [_explanation(key)]
        columns = (photos.c.explanation_key, photos.c.explanation_of, photos.c.photo_key)
        current = select(*columns).where(photos.c.id == photo_id).with_for_update()
        with writing(self._engine) as connection:
            row = connection.execute(current).one_or_none()
            if row is not None and photo_key not in (None, row.photo_key):
                expire(connection, new, now)
                return None
            if row is None or (row.explanation_key not in (None, lost) and row.explanation_of == of):
                expire(connection, new, now)
                return row.explanation_key if row else None
            if cancel(connection, new, now):
                if row.explanation_key:
                    mark_due(connection, [_explanation(row.explanation_key)], now)
                values = {"explanation_key": key, "explanation_of": of}
                connection.execute(update(photos).where(photos.c.id == photo_id).values(values))
                return key
        raise StoreUnavailable("The explanation took too long. Please try again.")


def _explanation(key: str) -> StoredObject:
    return StoredObject(ObjectKind.EXPLANATION, key)
