"""Rows for the database: its connection, migrations, clock, and waiting photos."""

from __future__ import annotations

from collections.abc import Iterator

from catloader.doctor.clocks import clock_row
from catloader.doctor.dispatch import notifications
from catloader.doctor.rows import EXPECTED, Row
from catloader.settings import Settings
from catloader.store.db.engine import Engine, database_name, reading, utcnow
from catloader.store.db.migrate import known_revisions, revisions
from catloader.store.db.notifications import can_notify
from catloader.store.db.photos.photos import Photos
from catloader.store.db.postgresql import missing_right
from catloader.store.db.server_clock import server_time
from catloader.store.db.sqlite import file_of
from catloader.wiring import build_engine

_LONG_WAIT_S = 600.0


def rows(settings: Settings) -> Iterator[Row]:
    if (file := file_of(settings.database)) and not file.exists():
        yield Row("database", "ok", f"{file.absolute()} does not exist yet; the first start makes it.")
        return
    engine = build_engine(settings)
    try:
        yield from _rows(engine)
    except EXPECTED as error:
        yield Row("database", "failed", str(error))
    finally:
        engine.dispose()


def _rows(engine: Engine) -> Iterator[Row]:
    current, newest = revisions(engine)
    yield Row("database", "ok", f"{database_name(engine)} answers.")
    if current is not None and current not in known_revisions():
        sentence = (
            f"The tables are at revision {current}, which this version does not know: use the newer version."
        )
        yield Row("migrations", "failed", sentence)
        return
    if current != newest:
        sentence = (
            f"The tables are at revision {current}, not at {newest}." if current else "There are no tables."
        )
        with reading(engine) as connection:
            lack = "" if current else missing_right(connection)
        if lack:
            yield Row("migrations", "failed", f"{sentence} {lack}")
            return
        act = "migrates" if current else "makes"
        yield Row("migrations", "note", f"{sentence} The next start, or `catloader db migrate`, {act} them.")
        return
    yield Row("migrations", "ok", f"The tables are at the newest revision, {newest}.")
    yield clock_row("database clock", utcnow(), server_time(engine))
    yield _waiting(Photos(engine))
    if can_notify(engine):
        yield notifications(engine)


def _waiting(photos: Photos) -> Row:
    due_since = photos.due_since()
    if due_since is None:
        return Row("waiting photos", "ok", "No photo waits for its check.")
    number, wait_s = photos.count_by_status()["pending"], (utcnow() - due_since).total_seconds()
    sentence = (
        f"Photos that wait for their check: {number}; the first has been due for {max(0.0, wait_s):.0f} s."
    )
    return Row("waiting photos", "note" if wait_s > _LONG_WAIT_S else "ok", sentence)
