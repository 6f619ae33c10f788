"""Migrations produce the tables of schema.py, keep existing rows, and can run in parallel."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Engine, insert, inspect, text, update
from sqlalchemy.exc import IntegrityError

import catloader.store
from catloader.errors import StartupError, StoreUnavailable
from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.migrate import migrate, refuse_read_only, revisions
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import (
    check_log,
    deletions,
    metadata,
    photos,
    random_audits,
    replacements,
    webhook_deliveries,
)
from catloader.store.kinds import ObjectKind
from tests.support.databases import empty_database
from tests.support.rows import add_photos, new_photo

_ROOT = Path(catloader.store.__file__).parents[2]
_MIGRATE = """
import sys
from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
engine = make_engine(sys.argv[1])
migrate(engine)
engine.dispose()
"""


@pytest.fixture(scope="module")
def migrated(_migrated: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database that began with the first version and has gone through every migration.

    The tests share it, because the migrations take a second or two; rows of other tests change none of them.
    """
    with empty_database(_migrated, tmp_path_factory.mktemp("migrated")) as url:
        engine = make_engine(url)
        with _alembic(engine) as config:
            command.upgrade(config, "0001")
        migrate(engine)
        yield engine
        engine.dispose()


def test_migrations_produce_the_tables_of_the_schema(migrated: Engine) -> None:
    options = {"compare_type": True, "compare_server_default": True}
    with reading(migrated) as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_migrations_produce_what_alembic_does_not_compare(migrated: Engine, engine: Engine) -> None:
    """``engine`` is a new database of the same kind."""
    tables = [*metadata.tables, "alembic_version"]
    assert set(inspect(migrated).get_table_names()) == set(inspect(engine).get_table_names()) >= set(tables)
    for table in tables:
        assert _rules(migrated, table) == _rules(engine, table)
    assert any("status" in rule for rule in _rules(migrated, "images"))


def test_the_ledger_has_numbers_for_more_than_a_billion_photos(migrated: Engine, engine: Engine) -> None:
    rows = [{"kind": "photo", "key": key, "not_before": datetime.now(UTC)} for key in "ab"]
    for one in (migrated, engine):
        with writing(one) as connection:
            connection.execute(insert(deletions).values(id=2**31 - 1, **rows[0]))
            if one.dialect.name == "postgresql":
                connection.execute(text("SELECT setval('deletions_id_seq', 2147483647)"))
            added = insert(deletions).values(rows[1]).returning(deletions.c.id)
            assert connection.execute(added).scalar_one() == 2**31
        Deletions(one).done([2**31 - 1, 2**31])
        assert Deletions(one).count() == 0


def test_there_are_numbers_for_more_than_two_billion_photos(migrated: Engine) -> None:
    """A new database has the same types, as another test shows; also in all tables that refer to photos."""
    (first,) = add_photos(migrated, 1)
    with writing(migrated) as connection:
        if migrated.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('images_id_seq', 2147483647)"))
        else:
            connection.execute(update(photos).where(photos.c.id == first).values(id=2**31 - 1))
    assert add_photos(migrated, 1) == [2**31]
    references = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if any(key.column is photos.c.id for key in column.foreign_keys)
    }
    assert len(references) == 9
    if migrated.dialect.name == "postgresql":
        for table, column in references:
            kinds = {found["name"]: str(found["type"]) for found in inspect(migrated).get_columns(table)}
            assert kinds[column] == "BIGINT", table


def test_the_check_log_has_numbers_for_more_than_two_billion_checks(migrated: Engine) -> None:
    """A new database has the same types, as another test shows."""
    now = datetime.now(UTC)
    audit = {"verdict": "cat", "profile_id": "p", "drawn_at": now}
    message = {"payload": "{}", "next_attempt_at": now, "created_at": now}
    (photo_id,) = add_photos(migrated, 1)
    of_photo = {"photo_id": photo_id}
    attempt = {**of_photo, "attempt": 1, "finished_at": now}
    with writing(migrated) as connection:
        connection.execute(insert(check_log).values(id=2**31 - 1, **attempt))
        if migrated.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('check_log_id_seq', 2147483647)"))
        added = insert(check_log).values(attempt).returning(check_log.c.id)
        number = connection.execute(added).scalar_one()
        assert number == 2**31
        connection.execute(insert(webhook_deliveries).values(id=number, source_id=number, **message))
        connection.execute(insert(random_audits).values(check_log_id=number, **of_photo, **audit))
        replaced = {"last_check_id": number, "last_review_id": 0, "made_at": now}
        connection.execute(insert(replacements).values(**of_photo, **replaced))


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)
def test_postgresql_vacuums_the_queue_often(migrated: Engine, engine: Engine) -> None:
    for one in (migrated, engine):
        with reading(one) as connection:
            query = text("SELECT reloptions FROM pg_class WHERE relname = 'images'")
            assert "autovacuum_vacuum_scale_factor=0.01" in connection.execute(query).scalar_one()


def _rules(engine: Engine, table: str) -> list[str]:
    look = inspect(engine)
    checks = [f"{check['name']}: {check['sqltext']}" for check in look.get_check_constraints(table)]
    links = [f"{link['name']}: {link['options']}" for link in look.get_foreign_keys(table)]
    partial = [
        f"{index['name']}: {kind} {condition}"
        for index in look.get_indexes(table)
        for kind, condition in index.get("dialect_options", {}).items()
    ]
    unique = [f"{one['name']}: {one['column_names']}" for one in look.get_unique_constraints(table)]
    unique += [f"primary key {look.get_pk_constraint(table)}"]
    unique += [f"{index['name']}: unique" for index in look.get_indexes(table) if index["unique"]]
    return sorted(checks + links + partial + unique) + _sqlite_words(engine, table)


def _sqlite_words(engine: Engine, table: str) -> list[str]:
    if engine.dialect.name != "sqlite":
        return []
    with reading(engine) as connection:
        query = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
        sql = connection.execute(query, {"name": table}).scalar_one()
    return [word for word in ("AUTOINCREMENT", "WITHOUT ROWID", "STRICT") if word in sql]


def test_downgrade_to_empty_and_upgrade_again(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    with _alembic(engine) as config:
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() in (["alembic_version"], ["alembic_version", "sqlite_sequence"])
    migrate(engine)
    assert set(metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


@contextmanager
def _alembic(engine: Engine) -> Iterator[Config]:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(catloader.store.__file__).parent / "db" / "migrations")
    )
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        yield config


def test_photos_of_the_first_version_are_kept(engine: Engine, empty_url: str) -> None:
    old = make_engine(empty_url)
    with _alembic(old) as config:
        command.upgrade(config, "0001")
    columns = (
        "owner_id, photo_key, thumbnail_key, width_px, height_px, size_bytes, thumbnail_px, crop_left_px"
    )
    columns += ", caption, crop_top_px, crop_side_px, sha256, thumbnail_sha256, next_attempt_at, created_at"
    values = "1, :p, :t, 1, 2, 3, 4, 5, 'Zoë', 6, 7, 'a', 'b', '2026-01-01', '2026-01-01'"
    insert = text(f"INSERT INTO images ({columns}) VALUES ({values}) RETURNING id")
    with writing(old) as connection:
        user = "INSERT INTO users (email, password_hash, created_at) VALUES ('a', '', '2026-01-01')"
        connection.execute(text(user))
        for n in "12":
            connection.execute(insert, {"p": f"p{n}", "t": f"t{n}"})
        log = "INSERT INTO check_log (image_id, attempt, finished_at) VALUES (1, 1, '2026-01-01')"
        connection.execute(text(log))
        connection.execute(text("DELETE FROM images WHERE id = 2"))
        before = connection.execute(text("SELECT * FROM images")).mappings().one()
    migrate(old)
    with writing(old) as connection:
        after = connection.execute(text("SELECT * FROM images")).mappings().one()
        assert dict(after) == {
            **before,
            "begun_at": None,
            "caption_folded": "zoë",
            "explanation_key": None,
            "explanation_of": None,
            "binned_at": None,
            "captured_at": None,
        }
        turned = connection.execute(text("SELECT turned_deg FROM check_log")).scalars().all()
        assert turned == [None], "an earlier version judged photos as they were"
        next_id = connection.execute(insert, {"p": "p3", "t": "t3"}).scalar_one()
        assert next_id == 3, "the id of a deleted photo was given again"
    for table in metadata.tables:
        assert _rules(old, table) == _rules(engine, table)
    old.dispose()


def test_domains_of_earlier_e_mails_are_written_in_ascii(empty_url: str) -> None:
    engine = make_engine(empty_url)
    with _alembic(engine) as config:
        command.upgrade(config, "0039")
    names = ("a@bücher.example", "zoë@b.example", "two@ä.example", "two@xn--4ca.example", "x@\u0301", "x")
    row = "INSERT INTO users (email, password_hash, created_at) VALUES (:email, '', '2026-01-01')"
    with writing(engine) as connection:
        connection.execute(text(row), [{"email": name} for name in names])
    migrate(engine)
    with reading(engine) as connection:
        emails = connection.execute(text("SELECT email FROM users ORDER BY id")).scalars().all()
    assert emails == ["a@xn--bcher-kva.example", *names[1:]]
    engine.dispose()


def test_ledger_rows_of_the_second_version_keep_their_bucket_in_both_directions(empty_url: str) -> None:
    engine = make_engine(empty_url)
    with _alembic(engine) as config:
        command.upgrade(config, "0002")
    due = "'2026-01-01 12:00:00.000000'"
    with writing(engine) as connection:
        ledger = "INSERT INTO deletions (bucket, key, not_before, attempts, last_error) VALUES"
        connection.execute(
            text(f"{ledger} ('my-photos', 'p', {due}, 2, 'S3 is away'), ('b', 't', {due}, 0, NULL)")
        )
    before = _ledger(engine)
    migrate(engine)
    rows = Deletions(engine).due(10, datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert [(row.id, row.kind, row.bucket, row.key, row.attempts) for row in rows] == [
        (1, None, "my-photos", "p", 2),
        (2, None, "b", "t", 0),
    ]
    # A process of the older version may still run at the same time as the new one.
    with writing(engine) as connection:
        connection.execute(text(f"{ledger} ('my-photos', 'q', {due}, 0, NULL)"))
        connection.execute(text("DELETE FROM deletions WHERE bucket = 'my-photos' AND key = 'q'"))
    with _alembic(engine) as config:
        command.downgrade(config, "0002")
    assert _ledger(engine) == before
    engine.dispose()


def test_a_migration_is_announced_in_the_log(empty_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The site answers nothing meanwhile, and a large table may take an hour."""
    caplog.set_level(logging.INFO, "catloader")
    engine = make_engine(empty_url)
    migrate(engine)
    assert caplog.messages == [], "a new site has nothing to migrate"
    with _alembic(engine) as config:
        command.downgrade(config, "0038")
    migrate(engine)
    (line,) = caplog.messages
    assert f" are migrated from revision 0038 to {revisions(engine)[1]}, " in line
    migrate(engine)
    assert caplog.messages == [line]
    engine.dispose()


def test_downgrade_is_refused_while_objects_are_named_by_kind(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    new = new_photo(owner_id=1)
    Photos(engine).reserve(new, now)
    with pytest.raises(CommandError, match="2 objects wait to be deleted"), _alembic(engine) as config:
        command.downgrade(config, "0002")
    due = Deletions(engine).due(10, now)
    assert [(row.kind, row.key) for row in due] == [
        (ObjectKind.PHOTO, new.photo_key),
        (ObjectKind.THUMBNAIL, new.thumbnail_key),
    ]
    Deletions(engine).done([row.id for row in due])
    with _alembic(engine) as config:
        command.downgrade(config, "0002")
    assert _ledger(engine) == []
    migrate(engine)
    engine.dispose()


def _ledger(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT * FROM deletions ORDER BY id")).mappings()
        return [dict(row) for row in rows]


@pytest.mark.parametrize(
    "where", [{}, {"kind": "photo", "bucket": "photos"}, {"kind": "video"}], ids=["none", "both", "unknown"]
)
def test_ledger_rows_name_either_a_kind_or_a_bucket(engine: Engine, where: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(deletions).values(key="k", not_before=datetime.now(UTC), **where))


@pytest.mark.slow
def test_concurrent_migrations_from_any_folder_succeed_silently(empty_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _MIGRATE, empty_url],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(4)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=60)[0].decode() for process in started]
    assert outputs == [""] * 4
    assert [process.returncode for process in started] == [0] * 4
    engine = make_engine(empty_url)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


@pytest.mark.slow
def test_tables_are_made_and_recognised_without_alembic(engine: Engine, empty_url: str) -> None:
    """Its import takes a fifth of a second of every start and of every command that uses the database."""
    code = _MIGRATE + "print('alembic' in sys.modules)\n"
    given = engine.url.render_as_string(hide_password=False)
    for url in (empty_url, empty_url, given):
        run = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("ae1027a6acf9", r"belongs to another program .*ae1027a6acf9.*: CatLoader needs a separate database"),
        ("9999", r"was made by a newer version of CatLoader: start that version, .*\.$"),
        ("0001", "is broken: .*explanation_key"),
        ("", "is broken: its table alembic_version names no single revision"),
    ],
)
def test_tables_of_another_version_are_not_mistaken_for_the_newest(
    empty_url: str, other: str, reason: str
) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :other"), {"other": other})
    with pytest.raises(
        StartupError, match=reason
    ):  # unknown; or the next migration adds a column that exists
        migrate(engine)
    if not other:
        with pytest.raises(StartupError, match=reason):
            revisions(engine)
    engine.dispose()


def test_tables_of_another_program_are_not_reported_as_broken(empty_url: str) -> None:
    engine = make_engine(empty_url)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE users (name VARCHAR(9))"))
    with pytest.raises(StartupError, match=r"another program \(it has the table users, but no "):
        migrate(engine)
    with reading(engine) as connection:
        assert inspect(connection).get_table_names() == ["users"]
    engine.dispose()


def test_tables_of_catloader_without_their_version_are_reported_as_broken(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(StartupError, match="is broken"):
        migrate(engine)
    engine.dispose()


def test_a_read_only_file_is_reported_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "site.sqlite3"
    writable = make_engine(path)
    migrate(writable)
    refuse_read_only(writable)
    writable.dispose()
    engine = make_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    migrate(engine)
    with pytest.raises(StoreUnavailable, match="attempt to write a readonly database"):
        refuse_read_only(engine)
    engine.dispose()


def test_an_unknown_option_of_the_database_address_is_reported() -> None:
    engine = make_engine("postgresql+psycopg://u:secret@127.0.0.1/d?speed=fast")
    with pytest.raises(StartupError, match=r'The address .*127\.0\.0\.1/d is wrong: .*"speed"\.') as error:
        migrate(engine)
    assert "secret" not in str(error.value)
    engine.dispose()


def test_id_of_a_deleted_account_is_never_reused(engine: Engine) -> None:
    """A session or link of a deleted account must not open another one."""
    with writing(engine) as connection:
        insert = text(
            "INSERT INTO users (email, password_hash, created_at) VALUES (:e, '', '2026-01-01') RETURNING id"
        )
        first = connection.execute(insert, {"e": "a"}).scalar_one()
        connection.execute(text("DELETE FROM users"))
        assert connection.execute(insert, {"e": "b"}).scalar_one() > first


@pytest.mark.slow
def test_failed_migration_leaves_the_older_version_startable(empty_url: str, tmp_path: Path) -> None:
    """The update is this checkout with one more migration, which fails in its last step."""
    engine = make_engine(empty_url)
    migrate(engine)
    before = _everything(engine)
    engine.dispose()
    update = tmp_path / "update"
    shutil.copytree(_ROOT / "catloader", update / "catloader", ignore=shutil.ignore_patterns("__pycache__"))
    versions = update / "catloader/store/db/migrations/versions"
    newest = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    (versions / "9999_fails.py").write_text(_FAILS.format(newest=newest))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(update), str(_ROOT)])}
    failed = subprocess.run(
        [sys.executable, "-c", _MIGRATE, empty_url],
        cwd=tmp_path, env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert failed.returncode != 0
    assert "no_such_table" in failed.stderr
    engine = make_engine(empty_url)
    migrate(engine)
    assert _everything(engine) == before
    engine.dispose()


_FAILS = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "{newest}"
branch_labels = depends_on = None
def upgrade():
    op.add_column("users", sa.Column("shoe_size", sa.Integer()))
    op.drop_table("webhook_ids")
    op.execute("INSERT INTO users (email, password_hash, created_at) VALUES ('x', '', '2026-01-01')")
    op.execute("INSERT INTO no_such_table VALUES (1)")
def downgrade():
    pass
"""


def _everything(engine: Engine) -> dict[str, tuple[list[str], int]]:
    """Return the columns and the number of rows of each table."""
    look = inspect(engine)
    with reading(engine) as connection:
        return {
            table: (
                [column["name"] for column in look.get_columns(table)],
                connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one(),
            )
            for table in look.get_table_names()
        }
