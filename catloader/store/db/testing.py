"""Synthetic databases for benchmarks and tests: as many rows as a site has after years, made in seconds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Engine,
    String,
    case,
    cast,
    create_engine,
    func,
    insert,
    literal,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError

from catloader.errors import SettingError, StartupError
from catloader.store.db.checks.queue_sql import log_row
from catloader.store.db.engine import make_engine, reading, utcnow, writing
from catloader.store.db.schema import Status, check_log, photos
from catloader.store.db.tables.utc_datetime import UtcDateTime
from checker.values import Claim, Decision, Label, ModelInfo, Outcome, Rendition, Verdict

_ROWS_PER_STATEMENT = 50_000
_PHOTOS_PER_LOG_ROW = 4
"""Only some finished photos have a log row: it takes a kilobyte, three times as much as a photo's row."""
LONG_AGO = timedelta(days=365)


@contextmanager
def temporary_database(server_url: str, folder: Path, name: str) -> Iterator[str]:
    """Yield the URL of a new, empty database, and drop it afterwards; SQLite's file goes with ``folder``.

    Args:
        server_url: a PostgreSQL database whose user may create others; empty: SQLite in ``folder``.
    Raises:
        SettingError: the URL is not PostgreSQL's.
        StartupError: the user may not create a database.
        StoreUnavailable: the server does not answer.
    """
    database = f"catloader_bench_{name}_{secrets.token_hex(4)}"
    if not server_url:
        yield f"sqlite:///{folder / database}.sqlite3"
        return
    url = _postgresql(server_url)
    server = create_engine(url, connect_args={"connect_timeout": 5})
    # Databases can't be made in a transaction.
    server = server.execution_options(isolation_level="AUTOCOMMIT")
    try:
        _create(server, database)
        try:
            yield url.set(database=database).render_as_string(hide_password=False)
        finally:
            with reading(server) as connection:
                connection.execute(text(f"DROP DATABASE {database} WITH (FORCE)"))
    finally:
        server.dispose()


def _postgresql(server_url: str) -> URL:
    try:
        url = make_url(server_url)
        if url.get_backend_name() in ("postgres", "postgresql"):
            return url.set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        pass  # not chained: these errors may show the password
    raise SettingError("The URL of a database server is postgresql://user:password@host/name.")


def server_version(server_url: str) -> str:
    """Return the version of a PostgreSQL server.

    Raises:
        SettingError, StoreUnavailable: as ``temporary_database``.
    """
    server = create_engine(_postgresql(server_url), connect_args={"connect_timeout": 5})
    try:
        with reading(server) as connection:
            return str(connection.execute(text("SHOW server_version")).scalar_one())
    finally:
        server.dispose()


def _create(server: Engine, database: str) -> None:
    try:
        with reading(server) as connection:
            connection.execute(text(f"CREATE DATABASE {database}"))
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        raise StartupError(f"This user may not create a database on the server: {reason}") from error


def fill(url: str, owner_id: int, rows: int, pending: int) -> None:
    """Insert ``rows`` photos without objects, the last ``pending`` of them unchecked."""
    engine = make_engine(url)
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        with engine.connect() as connection:  # only for this engine; the measured engine has the site's cache
            connection.exec_driver_sql("PRAGMA cache_size=-262144")
    for first in range(0, rows, _ROWS_PER_STATEMENT):
        _insert(engine, owner_id, first, min(rows, first + _ROWS_PER_STATEMENT), rows - pending)
    if not sqlite:
        # Autovacuum would do the same within a minute of so many inserts.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    os.sync()  # otherwise the kernel would write during the measurement


def _insert(engine: Engine, owner_id: int, first: int, end: int, finished: int) -> None:
    """Insert rows ``first`` to ``end`` (exclusive); those below ``finished`` have a verdict."""
    then = literal(utcnow() - LONG_AGO, UtcDateTime())
    number = select(literal(first).label("i")).cte("numbers", recursive=True)
    number = number.union_all(select(number.c.i + 1).where(number.c.i + 1 < end))
    i = number.c.i
    done = i < finished
    columns: dict[str, Any] = {
        "owner_id": literal(owner_id),
        "caption": _caption(i),
        "caption_folded": func.lower(_caption(i)),
        "photo_key": _random_key(engine),
        "thumbnail_key": _random_key(engine),
        **{name: literal(500) for name in ("width_px", "height_px", "thumbnail_px", "crop_side_px")},
        **{name: literal(0) for name in ("crop_left_px", "crop_top_px")},
        "size_bytes": literal(50_000),
        "sha256": literal(64 * "a"),
        "thumbnail_sha256": literal(64 * "b"),
        "status": case((~done, Status.PENDING), (i % 3 == 0, Status.CAT), else_=Status.NOT_CAT),
        "score": case((done, 0.5)),
        "attempts": case((done, 1), else_=0),
        "next_attempt_at": then,
        "checked_at": case((done, then)),
        "created_at": then,
    }
    with writing(engine) as connection:
        connection.execute(insert(photos).from_select(list(columns), select(*columns.values())))
        is_drawn = (photos.c.id % _PHOTOS_PER_LOG_ROW == 0) & (photos.c.id > first)
        logged = is_drawn & photos.c.checked_at.is_not(None)
        log = {
            name: literal(value, check_log.c[name].type)
            for name, value in _log_row(utcnow() - LONG_AGO).items()
        }
        rows = select(photos.c.id, *log.values()).where(logged)
        connection.execute(insert(check_log).from_select(["photo_id", *log], rows))


def _caption(number: ColumnElement[int]) -> ColumnElement[str]:
    usual = literal("A photo with a caption of usual length")
    return case((number % 1000 == 7, literal("A rare caption")), else_=usual)


def spread_over_months(url: str, months: int) -> None:
    """Spread the times of the rows of ``fill`` over this many months up to now, ascending with the ids."""
    engine, month = make_engine(url), timedelta(days=30)
    with writing(engine) as connection:
        last_id = connection.execute(select(func.max(photos.c.id))).scalar_one()
        for n in range(months):
            ids = (photos.c.id > last_id * n // months) & (photos.c.id <= last_id * (n + 1) // months)
            then = utcnow() - (months - 1 - n) * month
            connection.execute(update(photos).where(ids).values(created_at=then))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def _random_key(engine: Engine) -> ColumnElement[str]:
    """Return a random key like an upload's; sorted keys would make indexes cheaper than those of a site."""
    if engine.dialect.name == "sqlite":
        return func.lower(func.hex(func.randomblob(16))) + ".jpg"
    return func.replace(cast(func.gen_random_uuid(), String), "-", "") + ".jpg"


def _log_row(finished_at: datetime) -> dict[str, Any]:
    row = log_row(made_up_outcome(Claim(0, "", "", "", 1)))
    del row["photo_id"]
    return {**{name: value for name, value in row.items() if value is not None}, "finished_at": finished_at}


def made_up_outcome(claim: Claim) -> Outcome:
    """Return an outcome whose texts are as long as those of a real check."""
    labels = tuple(Label(281 + place, f"a class of ImageNet, number {place}", 0.2) for place in range(5))
    scores = {label.name: label.confidence for label in labels}
    decision = Decision(
        verdict=Verdict.CAT,
        score=0.9,
        cat_at=0.5,
        not_cat_below=0.1,
        subject="house_cat",
        profile_id="efficientnet_lite0-openvino-int8-house_cat",
        reason=None,
        wild_feline=False,
        labels=dict.fromkeys(Rendition, labels),
        subject_scores=dict.fromkeys(Rendition, scores),
    )
    model_info = ModelInfo(
        "efficientnet_lite0", 64 * "c", "openvino", "int8", "cpu", {"numpy": "2", "openvino": "2026"}
    )
    stages = ("fetch", "decode", "classify", "total")
    return Outcome(
        claim=claim,
        decision=decision,
        model_info=model_info,
        photo_sha256=64 * "a",
        thumbnail_sha256=64 * "b",
        batch_size=8,
        ms=dict.fromkeys(stages, 12.3),
    )
