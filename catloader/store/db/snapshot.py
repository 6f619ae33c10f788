"""Snapshots of a whole database, SQLite or PostgreSQL, as one SQLite file; and their restoration.

``pg_dump`` must be at least as new as the server, and few container images of the site contain it. Rows read
in one repeatable-read transaction are as consistent, and can be restored into either kind of database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, text, update

from catloader.errors import BackupRefused
from catloader.store.db.engine import database_name, make_engine, reading, writing
from catloader.store.db.migrate import known_revisions, migrate, revisions
from catloader.store.db.paging import pages
from catloader.store.db.photos.photo_rows import OBJECT_COLUMNS
from catloader.store.db.schema import check_log, deletions, metadata, photos, reviews, users
from catloader.store.db.time_limits import lift_time_limits
from catloader.store.kinds import ObjectKind, StoredObject
from checker.plurals import counted

_ROWS_AT_ONCE = 1000
_UNUSED = {check_log: 10**10, reviews: 10**6}
"""Table -> more than its rows of the time between a site's last backup and its loss. Receivers of webhooks
have seen the ids of these, and would take new events with the same ids for repetitions."""


class PhotoObjects(NamedTuple):
    """The objects of a photo, each with its SHA-256. The database has no digest of an explanation."""

    photo_id: int
    objects: tuple[tuple[StoredObject, str | None], ...]


def take(engine: Engine, path: Path) -> None:
    """Write a consistent copy of the database to the new file ``path``; the site may be running.

    Raises:
        BackupRefused: the tables are missing or not those of this version, or the file can't be written.
        StoreUnavailable: the database does not answer.
    """
    current, newest = revisions(engine)
    if current is None:
        raise BackupRefused(f"The database {database_name(engine)} is empty: there is nothing to back up.")
    if current != newest:
        raise BackupRefused(
            f"The database {database_name(engine)} is of another version (tables {current}, here {newest}): "
            "make the backup with the version that made the database."
        )
    if engine.dialect.name == "sqlite":
        # All pages in one step: with smaller steps, each write of the site restarts the copy.
        with reading(engine) as connection, closing(sqlite3.connect(path)) as target:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            try:
                driver.backup(target)
            except sqlite3.Error as error:
                raise BackupRefused(f"{path} can't be written: {error}.") from error
        return
    copy = make_engine(path)
    try:
        migrate(copy)
        one_state = engine.execution_options(isolation_level="REPEATABLE READ")
        with reading(one_state) as source, writing(copy) as target_connection:
            lift_time_limits(source)
            _copy_rows(source, target_connection)
    finally:
        copy.dispose()


class Snapshot:
    """The file of a snapshot, which can be read and adjusted to the objects that are saved with it."""

    def __init__(self, path: Path) -> None:
        """Open the file; ``close`` leaves a single file, without a write-ahead log."""
        self._path, self._engine = path, make_engine(path)

    def close(self) -> None:
        self._engine.dispose()
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")

    def empty_ledger(self) -> None:
        """Empty the deletion ledger: its objects are not in the backup."""
        with writing(self._engine) as connection:
            connection.execute(delete(deletions))

    def update(self) -> None:
        """Bring the tables of an older version up to date."""
        migrate(self._engine)

    def counts(self) -> tuple[int, int]:
        """Return the numbers of accounts and photos."""
        with reading(self._engine) as connection:
            accounts, stored = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (users, photos)
            )
        return accounts, stored

    def objects(self) -> Iterator[list[PhotoObjects]]:
        """Yield pages of photos with their objects, by rising id; ``leave_out`` may be called meanwhile."""
        digests = (photos.c.sha256, photos.c.thumbnail_sha256)
        query = select(photos.c.id, *OBJECT_COLUMNS.values(), *digests)
        for rows in pages(self._engine, query, photos.c.id):
            yield [
                PhotoObjects(
                    row.id,
                    tuple(
                        (StoredObject(kind, key), digest)
                        for kind, key, digest in (
                            (ObjectKind.PHOTO, row.photo_key, row.sha256),
                            (ObjectKind.THUMBNAIL, row.thumbnail_key, row.thumbnail_sha256),
                            (ObjectKind.EXPLANATION, row.explanation_key, None),
                        )
                        if key is not None
                    ),
                )
                for row in rows
            ]

    def is_of_same_site(self, former: Path) -> bool:
        """Return False if the former snapshot has accounts, and none of them is in this one.

        If the former snapshot can't be read, the result is True: this one replaces it.
        """
        query = (
            "SELECT count(*), count(present.id) FROM users LEFT JOIN this.users AS present "
            "ON present.id = users.id AND present.created_at = users.created_at"
        )
        # Immutable: the list of the backup has a digest of the file.
        unchanged = f"{former.resolve().as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(unchanged, uri=True)) as connection:
                connection.execute("ATTACH DATABASE ? AS this", (str(self._path),))
                accounts, present = connection.execute(query).fetchone()
        except sqlite3.Error:
            return True
        return bool(present or not accounts)

    def keys(self, kind: ObjectKind, prefix: str) -> set[str]:
        """Return the keys of a kind that begin with ``prefix``."""
        column = OBJECT_COLUMNS[kind]
        with reading(self._engine) as connection:
            return set(connection.execute(select(column).where(column.startswith(prefix))).scalars())

    def leave_out(self, ids: Sequence[int]) -> None:
        """Remove photos with all rows that belong to them."""
        with writing(self._engine) as connection:
            connection.execute(delete(photos).where(photos.c.id.in_(ids)))

    def forget_explanations(self, ids: Sequence[int]) -> None:
        """Forget stored explanations, which can be made again."""
        values = {"explanation_key": None, "explanation_of": None}
        with writing(self._engine) as connection:
            connection.execute(update(photos).where(photos.c.id.in_(ids)).values(values))

    def restore(self, target: Engine) -> None:
        """Copy all rows into an empty, migrated database, in one transaction.

        Raises:
            BackupRefused: the target has accounts.
        """
        with reading(self._engine) as source, writing(target) as connection:
            _refuse_used(connection, database_name(target))
            lift_time_limits(connection)
            for table in reversed(metadata.sorted_tables):  # visitors may have added some, such as attempts
                connection.execute(delete(table))
            _copy_rows(source, connection, unused=_UNUSED)


def refuse_used(engine: Engine) -> None:
    """Check that the database has no accounts.

    Raises:
        BackupRefused: it has some.
    """
    with reading(engine) as connection:
        _refuse_used(connection, database_name(engine))


def refuse_unknown(revision: str) -> None:
    """Check that this version knows the revision.

    Raises:
        BackupRefused: it does not.
    """
    if revision not in known_revisions():
        raise BackupRefused(
            f"The backup was made by a newer version of CatLoader (tables {revision}): restore it "
            "with that version."
        )


def _refuse_used(connection: Connection, name: str) -> None:
    accounts = connection.execute(select(func.count()).select_from(users)).scalar_one()
    if accounts:
        raise BackupRefused(
            f"The database {name} is not empty ({counted(accounts, 'account')}): set "
            "CATLOADER_DATA_DIR to a new folder, or DATABASE_URL to an empty database."
        )


def _copy_rows(
    source: Connection, target: Connection, unused: Mapping[Table, int] = MappingProxyType({})
) -> None:
    for table in metadata.sorted_tables:
        names = table.columns.keys()
        rows = source.execute(select(table).execution_options(yield_per=_ROWS_AT_ONCE))
        for batch in rows.partitions():
            target.execute(insert(table), [dict(zip(names, row, strict=True)) for row in batch])
    _continue_numbers(source, target, unused)


def _continue_numbers(source: Connection, target: Connection, unused: Mapping[Table, int]) -> None:
    """Continue the numbering of the source: the address of a deleted photo must not lead to another photo.

    Args:
        unused: table -> ids that are left out.
    """
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        last = max(
            target.execute(select(func.coalesce(func.max(column), 0))).scalar_one(),
            _last_number(source, table.name) if table.dialect_kwargs["sqlite_autoincrement"] else 0,
        )
        last += unused.get(table, 0)
        name = {"name": table.name, "last": last}
        if target.dialect.name == "sqlite":
            if table.dialect_kwargs["sqlite_autoincrement"]:
                target.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), name)
                target.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), name)
        elif last:
            target.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), name)


def _last_number(connection: Connection, table: str) -> int:
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return int(connection.execute(query, {"name": table}).scalar() or 0)
    sequence = text("SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:name, 'id') AS regclass))")
    return int(connection.execute(sequence, {"name": table}).scalar() or 0)
