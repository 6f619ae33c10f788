"""The knobs: read once, converted, checked; a value that makes no sense is refused in one sentence."""

from __future__ import annotations

import re
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from catloader.errors import SettingError
from catloader.settings import Settings, kept_secret


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_every_knob_has_its_own_variable_a_section_and_a_sentence() -> None:
    knobs = fields(Settings)
    assert len({knob.metadata["env"] for knob in knobs}) == len(knobs)
    for knob in knobs:
        assert knob.metadata["doc"].endswith("."), knob.name
        value = getattr(Settings(), knob.name)
        assert value == knob.default


def test_values_are_converted_to_the_kind_of_their_default() -> None:
    settings = Settings.from_environment(
        {"CATLOADER_PORT": " 9000 ", "CATLOADER_DATA_DIR": "/srv/cats", "CATCHECK_LEASE_S": "2.5"}
    )
    assert (settings.port, settings.data_dir, settings.lease_s) == (9000, Path("/srv/cats"), 2.5)


def test_an_empty_variable_is_none_at_all() -> None:
    assert Settings.from_environment({"CATLOADER_PORT": " ", "DATABASE_URL": ""}) == Settings()


def test_overrides_win_over_the_environment_even_over_nonsense_in_it() -> None:
    assert Settings.from_environment({"CATLOADER_PORT": "x"}, port=1234).port == 1234


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CATLOADER_PORT", "http", "a whole number"),
        ("CATLOADER_PORT", "0", "1 to 65535"),
        ("CATLOADER_PORT", "65536", "1 to 65535"),
        ("CATLOADER_MAX_FILES", "0", "at least 1"),
        ("CATCHECK_LEASE_S", "soon", "a number"),
        ("CATCHECK_LEASE_S", "nan", "at least 0.1"),
        ("CATCHECK_MAX_FALSE_POSITIVE_RATE", "0.9", "0.0001 to 0.5"),
        ("CATCHECK_DISPATCH", "celery", "thread, internal, external, off"),
        ("CATLOADER_DELIVERY", "App", "app, url"),
    ],
)
def test_nonsense_is_refused_by_name_value_and_what_it_takes(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Settings.from_environment({name: value})
    sentence = str(refusal.value)
    assert name in sentence
    assert repr(value) in sentence
    assert told in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"CATCHECK_DISPATCH": "external"}, "CATCHECKER_URL"),
        ({"AWS_ENDPOINT_URL_S3": "http://s3"}, "AWS_ACCESS_KEY_ID"),
        ({"DATABASE_URL": "mysql://u:secret@h/d"}, "DATABASE_URL"),
    ],
)
def test_knobs_that_need_each_other(environment: dict[str, str], names: str) -> None:
    with pytest.raises(SettingError, match=names) as refusal:
        Settings.from_environment(environment)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("prefix", ["postgres", "postgresql"])
def test_a_postgresql_url_gets_its_driver(prefix: str) -> None:
    settings = Settings.from_environment({"DATABASE_URL": f"{prefix}://u:p@h/d"})
    assert settings.sqlalchemy_url == "postgresql+psycopg://u:p@h/d"


def test_sqlite_lies_in_the_data_folder(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).sqlalchemy_url == f"sqlite:///{tmp_path}/catloader.sqlite3"


def test_the_embedded_store_is_what_is_left_when_no_other_is_named() -> None:
    other = Settings.from_environment(
        {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    )
    assert Settings().embedded_s3
    assert not other.embedded_s3


def test_a_kept_secret_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "secret-key"
    first = kept_secret(path)
    assert re.fullmatch(r"[\w-]{60,}", first)
    assert kept_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret-key"]


def test_threads_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        together.wait()
        found.append(kept_secret(tmp_path / "secret-key"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
