"""The database that a command uses."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from catloader.server.database import migrate_database
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import make_engine, utcnow


def test_an_empty_database_is_reported_if_the_data_folder_has_another_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows stay in the database of the data folder; only backup and restore move them."""
    caplog.set_level(logging.WARNING)
    here = Settings(data_dir=tmp_path, min_free_bytes=0)
    url = f"sqlite:///{tmp_path}/elsewhere.sqlite3"
    elsewhere = Settings(data_dir=tmp_path, min_free_bytes=0, database_url=SecretStr(url))
    migrate_database(here, must_write=True)
    assert caplog.messages == []
    migrate_database(elsewhere, must_write=True)
    (message,) = caplog.messages
    assert f"accounts in {tmp_path}/catloader.sqlite3 were not moved. `catloader backup` and" in message
    engine = make_engine(url)
    Users(engine).create("ann@example.org", "x", utcnow())
    engine.dispose()
    migrate_database(elsewhere, must_write=True)
    assert caplog.messages == [message]
