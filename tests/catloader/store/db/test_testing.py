from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from catloader.errors import SettingError
from catloader.store.db.engine import make_engine, reading
from catloader.store.db.testing import temporary_database


def test_a_temporary_database_is_dropped_and_no_other_is_changed(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url)
    names = text("SELECT datname FROM pg_database ORDER BY 1")
    with reading(engine) as connection:
        before = connection.execute(names).all()
    with pytest.raises(ZeroDivisionError), temporary_database(postgres_url, tmp_path, "x") as url:
        assert (make_url(url).database or "").startswith("catloader_bench_x_")
        raise ZeroDivisionError
    with reading(engine) as connection:
        assert connection.execute(names).all() == before
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "sqlite:///x", "postgresql://u:hunter2@h:x/n"])
def test_the_refusal_of_another_url_does_not_show_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as error, temporary_database(url, tmp_path, "x"):
        raise AssertionError("refused before")
    assert str(error.value) == "The URL of a database server is postgresql://user:password@host/name."
