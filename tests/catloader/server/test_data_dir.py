"""The data folder's lock, and the object store of the process that holds it."""

from __future__ import annotations

import fcntl
import json
import logging
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from catloader.errors import StartupError
from catloader.server.data_dir import exclusive_data_dir, prepare_data_dir, store_note, try_lock
from catloader.server.object_store import shared_or_own_object_store, wait_for_site_object_store
from catloader.settings import Settings

ADDRESS = ("http://127.0.0.1:9000", "key", "secret")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "data", min_free_bytes=0)
    prepare_data_dir(settings)
    return settings


def _announce_store(settings: Settings) -> None:
    store_note(settings).write_text(json.dumps(ADDRESS))


def _store(settings: Settings) -> tuple[str, str, str]:
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return settings.s3_endpoint_url, key.get_secret_value(), secret.get_secret_value()


def test_prepared_folder_is_private_and_empty(settings: Settings) -> None:
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700
    assert list(settings.data_dir.iterdir()) == []


def test_second_site_on_the_folder_is_refused_until_the_first_ends(settings: Settings) -> None:
    refused = pytest.raises(StartupError, match="Another CatLoader runs")
    with exclusive_data_dir(settings), refused, exclusive_data_dir(settings):
        pass
    with exclusive_data_dir(settings):
        pass


def test_lock_removes_the_address_left_by_a_killed_site(settings: Settings) -> None:
    _announce_store(settings)
    with exclusive_data_dir(settings):
        assert not store_note(settings).exists()


def test_command_beside_a_site_shares_its_store(settings: Settings) -> None:
    with exclusive_data_dir(settings):
        _announce_store(settings)
        with shared_or_own_object_store(settings) as with_store:
            assert _store(with_store) == ADDRESS
            assert not with_store.embedded_s3


def test_worker_waits_for_a_site_without_locking_the_folder(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    _announce_store(settings)  # by a site that was killed: the folder is not locked
    waiting = threading.Event()
    stores: list[tuple[str, str, str]] = []

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waiting.set()

    def wait() -> None:
        with wait_for_site_object_store(settings) as with_store:
            stores.append(_store(with_store))

    logger, handler = logging.getLogger("catloader.server.object_store"), Tell()
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO):
        worker = threading.Thread(target=wait)
        worker.start()
        assert waiting.wait(10)
        assert stores == []
        with exclusive_data_dir(settings):
            _announce_store(settings)
            worker.join(10)
    logger.removeHandler(handler)
    assert stores == [ADDRESS]
    assert len([message for message in caplog.messages if message.startswith("waiting for a site")]) == 1


def test_shared_lock_only_asks(settings: Settings) -> None:

    with ExitStack() as one, ExitStack() as other:
        assert try_lock(settings, one, fcntl.LOCK_SH)
        assert try_lock(settings, other, fcntl.LOCK_SH)
        with ExitStack() as third:
            assert not try_lock(settings, third)
    with ExitStack() as third:
        assert try_lock(settings, third)
