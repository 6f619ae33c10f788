"""Queries of imports and exports, over all photos outside the bin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, select

from catloader.store.db.engine import reading
from catloader.store.db.paging import pages
from catloader.store.db.photos.photo_rows import not_in_bin
from catloader.store.db.schema import check_log, photos, users


@dataclass(frozen=True, slots=True)
class ExportedPhoto:
    """A photo, its owner and its verdict."""

    id: int
    owner: str
    created_at: datetime
    caption: str
    status: str
    score: float | None
    checked_at: datetime | None
    human_verdict: str | None
    human_verdict_at: datetime | None
    wild_feline: bool
    calibrated: bool
    reason: str | None
    """Reason why the verdict is unsure despite a high score. This and the fields up to ``profile_id`` are
    those of the latest verdict."""
    cat_at: float | None
    not_cat_below: float | None
    model: str | None
    weights_sha256: str | None
    runtime: str | None
    precision: str | None
    profile_id: str | None
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    photo_key: str
    turned_deg: int | None
    """Degrees clockwise by which this file was rotated to be judged; None also if its owner has rotated or
    replaced it since the latest verdict."""


_PHOTO_COLUMNS = (
    photos.c.id,
    users.c.email.label("owner"),
    photos.c.created_at,
    photos.c.caption,
    photos.c.status,
    photos.c.score,
    photos.c.checked_at,
    photos.c.human_verdict,
    photos.c.human_verdict_at,
    photos.c.wild_feline,
    photos.c.calibrated,
    photos.c.width_px,
    photos.c.height_px,
    photos.c.size_bytes,
    photos.c.sha256,
    photos.c.photo_key,
)
_LOG_COLUMNS = (
    check_log.c.reason,
    check_log.c.cat_at,
    check_log.c.not_cat_below,
    check_log.c.model,
    check_log.c.weights_sha256,
    check_log.c.runtime,
    check_log.c.precision,
    check_log.c.profile_id,
)


class Exports:
    """Whole accounts, page by page."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def photos(self, owner_id: int | None) -> Iterator[list[ExportedPhoto]]:
        """Yield pages of the owner's photos by rising id; None: of all owners' photos."""
        query = select(*_PHOTO_COLUMNS).join(users, users.c.id == photos.c.owner_id).where(not_in_bin())
        if owner_id is not None:
            query = query.where(photos.c.owner_id == owner_id)
        for rows in pages(self._engine, query, photos.c.id):
            logs = self._latest_verdicts([row.id for row in rows])
            yield [_exported(row._mapping, logs.get(row.id)) for row in rows]

    def has(self, photo: ExportedPhoto) -> bool:
        """Return True if the photo still exists outside the bin, with the same object."""
        is_same = (photos.c.id == photo.id) & (photos.c.photo_key == photo.photo_key) & not_in_bin()
        with reading(self._engine) as connection:
            return connection.execute(select(photos.c.id).where(is_same)).first() is not None

    def digests(self, owner_id: int) -> set[bytes]:
        """Return the SHA-256 of each photo of the owner."""
        query = select(photos.c.sha256).where(photos.c.owner_id == owner_id, not_in_bin())
        with reading(self._engine) as connection:
            return {bytes.fromhex(digest) for digest in connection.execute(query).scalars()}

    def _latest_verdicts(self, ids: list[int]) -> dict[int, RowMapping]:
        of_file = (check_log.c.photo_id, check_log.c.photo_sha256, check_log.c.turned_deg)
        query = select(*of_file, *_LOG_COLUMNS)
        query = query.where(check_log.c.photo_id.in_(ids), check_log.c.verdict.is_not(None))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(check_log.c.id)).all()
        return {row.photo_id: row._mapping for row in rows}


def _exported(photo: RowMapping, log: RowMapping | None) -> ExportedPhoto:
    of_log: dict[str, Any] = {column.name: log and log[column.name] for column in _LOG_COLUMNS}
    is_of_present_file = log is not None and log["photo_sha256"] == photo["sha256"]
    turned_deg = log["turned_deg"] if log and is_of_present_file else None
    return ExportedPhoto(**photo, **of_log, turned_deg=turned_deg)
