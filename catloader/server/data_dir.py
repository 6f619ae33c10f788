"""What a site stands on: its data folder (looked over, locked), its database and its object store."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.store.db.engine import Engine
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import build_engine, build_object_store

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_RELEASE_S = 1.5
"""A site that was killed may need this long until the kernel has taken its lock away."""
_STARTING_S = 15.0
"""How long a command waits for a site that is still starting its object store."""
_S3_STOP_S = 1.5
"""It usually takes a third of that; with the workers' grace a stop stays below 5 s."""


def usable_data_folder(settings: Settings) -> None:
    """Make it, try it, look at its disk.

    Raises:
        StartupError: what is wrong with it.
    """
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
        free_bytes = shutil.disk_usage(folder).free
    except (FileExistsError, NotADirectoryError):
        raise StartupError(f"The data folder {folder} is a file, or lies below one.") from None
    except OSError as error:
        raise StartupError(f"The data folder {folder} cannot be written to: {error.strerror}.") from error
    if free_bytes < settings.min_free_bytes:
        raise StartupError(
            f"The disk of the data folder {folder} has {free_bytes // 2**20} MiB free; at least "
            f"{settings.min_free_bytes // 2**20} MiB are needed (CATLOADER_MIN_FREE_BYTES)."
        )


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Lock the data folder: what runs the embedded S3, a site above all, has it for itself.

    Raises:
        StartupError: another process has it.
    """
    with contextlib.ExitStack() as stack:
        deadline_s = time.monotonic() + _RELEASE_S
        while not _locked(settings, stack):
            if time.monotonic() > deadline_s:
                raise StartupError(
                    f"Another CatLoader runs on the data folder {settings.data_dir}; "
                    "stop it, or set CATLOADER_DATA_DIR to another folder."
                )
            time.sleep(_POLL_S)
        yield


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[Engine]:
    """The database, its tables up to date.

    Raises:
        StartupError: it does not answer, is broken, or belongs to a newer version.
    """
    engine = build_engine(settings)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def object_store(settings: Settings) -> Iterator[Settings]:
    """Settings that name an S3 server with its buckets: their own one, or the embedded one.

    The embedded one runs as long as this does; the caller is ``alone`` with the data folder.

    Raises:
        StartupError, StoreUnavailable: it cannot start, or does not answer.
    """
    if not settings.embedded_s3:
        _make_buckets(settings)
        yield settings
        return
    note = _note(settings)
    server = EmbeddedS3(settings.data_dir)
    try:
        server.start()
        where = (server.endpoint_url, server.access_key_id, server.secret_access_key)
        with_s3 = _pointed_at(settings, *where)
        _make_buckets(with_s3)
        _write_private(note, json.dumps(where))
        yield with_s3
    finally:
        note.unlink(missing_ok=True)
        server.stop(_S3_STOP_S)


@contextlib.contextmanager
def beside(settings: Settings) -> Iterator[Settings]:
    """What ``object_store`` gives, for a command that soon ends: beside a site or, without one, by itself.

    Raises:
        StartupError: who has the data folder does not say where its object store is.
    """
    with contextlib.ExitStack() as stack:
        deadline_s = time.monotonic() + _STARTING_S
        while settings.embedded_s3 and not _locked(settings, stack):
            if others := _others_object_store(settings):
                yield others
                return
            if time.monotonic() > deadline_s:
                raise StartupError(
                    f"Another CatLoader runs on the data folder {settings.data_dir}, "
                    "and does not say where its object store is."
                )
            time.sleep(_POLL_S)
        yield stack.enter_context(object_store(settings))


@contextlib.contextmanager
def following(settings: Settings) -> Iterator[Settings]:
    """What ``object_store`` gives, for a process that runs on and on beside a site.

    It never takes the data folder: the site may start before it, after it, and again.
    """
    if not settings.embedded_s3:
        with object_store(settings) as with_s3:
            yield with_s3
        return
    told = False
    while (others := _others_object_store(settings)) is None:
        if not told:
            logger.info("waiting for a site on %s: it brings the object store", settings.data_dir)
            told = True
        time.sleep(_POLL_S)
    yield others


def _pointed_at(
    settings: Settings, endpoint_url: str, access_key_id: str, secret_access_key: str
) -> Settings:
    return settings.with_changes(
        s3_endpoint_url=endpoint_url,
        s3_access_key_id=access_key_id,
        s3_secret_access_key=secret_access_key,
    )


def _others_object_store(settings: Settings) -> Settings | None:
    """That of the process that has the data folder; None while it is starting, or where there is none."""
    with contextlib.ExitStack() as stack:
        if _locked(settings, stack, fcntl.LOCK_SH):  # those who only ask are in nobody's way for long
            return None
    try:
        endpoint_url, access_key_id, secret_access_key = json.loads(_note(settings).read_text())
    except FileNotFoundError:
        return None
    return _pointed_at(settings, endpoint_url, access_key_id, secret_access_key)


def _note(settings: Settings) -> Path:
    """Where the process that is ``alone`` tells those beside it how to reach its object store."""
    return settings.data_dir / "object-store.json"


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _locked(settings: Settings, stack: contextlib.ExitStack, how: int = fcntl.LOCK_EX) -> bool:
    """Take the lock while ``stack`` is open; the kernel drops it with the process, however that ends."""
    file = stack.enter_context((settings.data_dir / "lock").open("a"))
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if how == fcntl.LOCK_EX:
        _note(settings).unlink(missing_ok=True)  # of one that was killed
    return True


def _make_buckets(settings: Settings) -> None:
    build_object_store(settings).ensure_buckets()
