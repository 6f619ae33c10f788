"""The lock of the data folder, the object store of the process that holds it, and limits of the system."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import pwd
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from catloader.errors import StartupError
from catloader.server.data_dir import (
    _refuse_without_locks,
    exclusive_data_dir,
    prepare_data_dir,
    store_note,
    try_lock,
)
from catloader.server.object_store import (
    _site_object_store,
    shared_or_own_object_store,
    wait_for_site_object_store,
)
from catloader.settings import Settings
from tests.support import refusing
from tests.support.environ import environ_without_settings

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


@pytest.mark.parametrize("name", ["imports", "partial-uploads", "profiles", "s3"])
def test_file_in_place_of_a_folder_is_named(settings: Settings, name: str) -> None:
    (settings.data_dir / name).touch()
    with pytest.raises(StartupError, match=f"data/{name} is a file, and the site needs a folder there"):
        prepare_data_dir(settings)


@pytest.mark.parametrize("below", ["", "site"])
def test_link_to_a_disk_that_is_not_mounted_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    settings = Settings(data_dir=tmp_path / "link" / below, min_free_bytes=0)
    with pytest.raises(StartupError, match=f"{tmp_path}/link is a link to {tmp_path}/disk"):
        prepare_data_dir(settings)
    (tmp_path / "disk").mkdir()
    prepare_data_dir(settings)


@pytest.mark.parametrize(
    "name",
    ["catloader.sqlite3", "lock", "model.json", "object-store.json", "secret-key", "webhook-secret"],
)
def test_folder_in_place_of_a_file_is_named(settings: Settings, name: str) -> None:
    (settings.data_dir / name).mkdir()
    with pytest.raises(StartupError, match=f"data/{name} is a folder, and the site needs a file there"):
        prepare_data_dir(settings)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_the_owner_of_a_folder_that_cannot_be_written_to_is_named() -> None:
    """As of a folder that Docker has made for a container whose user is not root."""
    nobody = pwd.getpwuid(65534).pw_name
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folder can't be searched by others
    folder.chmod(0o755)
    # Made before: they look at the checkout, which other users may not be able to search.
    both = [Settings(data_dir=data_dir, min_free_bytes=0) for data_dir in (folder, folder / "below")]
    os.seteuid(65534)
    try:
        for settings in both:
            expected = re.escape(
                f"Permission denied ({folder} belongs to root, and this process runs as {nobody})."
            )
            with pytest.raises(StartupError, match=expected):
                prepare_data_dir(settings)
    finally:
        os.seteuid(0)
        folder.rmdir()


def test_a_nearly_full_disk_is_refused_with_both_numbers(settings: Settings) -> None:
    sentence = rf"{settings.data_dir} has \d+ MiB free; at least {2**40} MiB are needed"
    with pytest.raises(StartupError, match=sentence):
        prepare_data_dir(settings.with_changes(min_free_bytes=2**60))


def test_second_site_on_the_folder_is_refused_until_the_first_ends(settings: Settings) -> None:
    refused = pytest.raises(StartupError, match="Another CatLoader runs")
    with exclusive_data_dir(settings), refused, exclusive_data_dir(settings):
        pass
    with exclusive_data_dir(settings):
        pass


def test_a_start_waits_for_a_lock_that_is_released_soon(settings: Settings) -> None:
    """The kernel releases the lock of a killed site, but not at once."""
    killed, attempts = ExitStack(), list[str]()
    assert try_lock(settings, killed)

    class Folder:
        def __truediv__(self, name: str) -> Path:
            attempts.append(name)
            if len(attempts) == 2:
                killed.close()
            return settings.data_dir / name

    with exclusive_data_dir(cast("Settings", SimpleNamespace(data_dir=Folder()))):
        assert attempts[:2] == ["lock"] * 2


@pytest.mark.timeout(60)
def test_a_command_is_refused_in_one_sentence_if_a_running_process_shares_no_store(
    settings: Settings,
) -> None:
    with (
        exclusive_data_dir(settings),
        pytest.raises(StartupError, match="does not publish the address of its object store"),
        shared_or_own_object_store(settings, starting_s=0),
    ):
        pass


def test_lock_removes_the_address_left_by_a_killed_site(settings: Settings) -> None:
    _announce_store(settings)
    with exclusive_data_dir(settings):
        assert not store_note(settings).exists()
        assert _site_object_store(settings) is None, "the running site may publish its address later"


def test_a_command_shares_the_store_of_a_running_site(settings: Settings) -> None:
    with exclusive_data_dir(settings):
        _announce_store(settings)
        with shared_or_own_object_store(settings) as with_store:
            assert _store(with_store) == ADDRESS
            assert not with_store.embedded_s3


def test_worker_waits_for_a_site_without_locking_the_folder(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    _announce_store(settings)  # left by a killed site, since the folder is not locked
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
        assert waiting.wait(60)
        assert stores == []
        with exclusive_data_dir(settings):
            _announce_store(settings)
            worker.join(60)
    logger.removeHandler(handler)
    assert stores == [ADDRESS]
    assert len([message for message in caplog.messages if message.startswith("waiting for a site")]) == 1


def test_shared_locks_coexist_and_exclude_an_exclusive_one(settings: Settings) -> None:

    with ExitStack() as one, ExitStack() as other:
        assert try_lock(settings, one, fcntl.LOCK_SH)
        assert try_lock(settings, other, fcntl.LOCK_SH)
        with ExitStack() as third:
            assert not try_lock(settings, third)
    with ExitStack() as third:
        assert try_lock(settings, third)


def _run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = environ_without_settings(**environ)
    if "RLIMIT_FSIZE" in code:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)  # the limit would apply to the coverage file, too
    command = [sys.executable, "-c", code]
    if "flock" in environ.get("REFUSED", ""):
        command = refusing.command(command, flock="ENOLCK")
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


_LOCK = """
from catloader.server.data_dir import exclusive_data_dir
from catloader.settings import Settings
with exclusive_data_dir(Settings.from_environment()):
    print("held")
"""


@pytest.mark.skipif(not refusing.SUPPORTED, reason="numbers of the system calls are not known here")
def test_a_file_system_without_locks_is_refused_if_it_would_hold_data(tmp_path: Path) -> None:
    error = OSError(errno.ENOLCK, "No locks available")
    store = {"s3_endpoint_url": "http://127.0.0.1:1", "s3_access_key_id": "a", "s3_secret_access_key": "b"}
    elsewhere: tuple[dict[str, Any], ...] = ({"database_url": "postgresql://127.0.0.1:1/d"}, store)
    for in_folder in elsewhere:
        reason = f"The file system of the data folder {tmp_path} has no file locks .No locks available.; set"
        with pytest.raises(StartupError, match=reason):
            _refuse_without_locks(Settings(data_dir=tmp_path, **in_folder), error)
    external = {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "DATABASE_URL": "postgresql://127.0.0.1:1/d",
    }
    done = _run(_LOCK, REFUSED="flock", CATLOADER_DATA_DIR=str(tmp_path), **external)
    assert "has no file locks" in done.stderr
    assert done.stdout == "held\n"


_LOOK = """
import resource, sys
from catloader.server.data_dir import refuse_missing_temporary_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
refuse_missing_temporary_folder()
"""


def test_a_missing_temporary_folder_is_named() -> None:
    done = _run(_LOOK.replace("sys.argv[1]", "1000"), TMPDIR="/nonexistent")
    assert (done.returncode, done.stderr) == (0, "")
    done = _run(_LOOK.replace("sys.argv[1]", "0"))  # no file in any folder may contain a byte
    assert "StartupError: No temporary folder can be written to; set TMPDIR" in done.stderr


_PREPARE = """
import os, resource, sys
from catloader.server.data_dir import prepare_data_dir
from catloader.settings import Settings
soft, hard, umask, threads = (int(word) for word in sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
os.umask(umask)
settings = Settings.from_environment()  # reads files that the other account may not read
if threads:
    resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
    os.geteuid() or os.setuid(23456)  # the limit does not apply to root
prepare_data_dir(settings)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], os.umask(0))
"""


def _prepare(
    folder: Path, soft: int, hard: int, umask: int = 0o077, threads: int = 0
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PREPARE, str(soft), str(hard), str(umask), str(threads)]
    environ = environ_without_settings(CATLOADER_DATA_DIR=folder)
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_few_open_files_are_raised_or_refused_with_advice(tmp_path: Path) -> None:
    assert _prepare(tmp_path, 64, 512, 0o022).stdout == f"256 {0o022}\n"
    assert "may open 64 files, and at least 256 are needed" in _prepare(tmp_path, 64, 64, 0o022).stderr


def test_few_threads_are_refused_with_advice(tmp_path: Path) -> None:
    assert (
        "may have 20 processes and threads, and at least 64"
        in _prepare(tmp_path, 512, 512, threads=20).stderr
    )


_LITTLE = """
import resource, sys
from checker.process.low_limits import EARLY, low_limit
resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
print(low_limit(EARLY))
from catloader.cli import main
main(["settings"], standalone_mode=False)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other system enforces the limit")
def test_little_memory_is_refused_with_advice_before_libraries_fail() -> None:
    done = _run(_LITTLE)
    assert done.stdout.startswith("This process may use 256 MiB of address space, and at least 1024 are")
    assert done.stdout.strip() in done.stderr.splitlines()[-1]


def test_a_umask_that_removes_the_owners_rights_is_named(tmp_path: Path) -> None:
    assert "The umask 0777 makes new files unusable" in _prepare(tmp_path, 512, 512, 0o777).stderr
    assert _prepare(tmp_path, 512, 512, 0o077).stdout == f"512 {0o077}\n"
