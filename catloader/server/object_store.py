"""The object store of a command: the configured server, or the embedded one of this or another process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from catloader.errors import StartupError, StoreUnavailable
from catloader.server.data_dir import POLL_S, store_note, try_lock
from catloader.settings import Settings
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.errors import NoAnswer
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.probes import Probes
from catloader.wiring import build_object_store
from checker.log_limit import LogLimit

logger = logging.getLogger(__name__)

_STARTING_S = 15.0
"""Longest wait of a command for a site that is still starting its object store."""
_RETRY_S = 1.0
_WATCH_S = 2.0
"""Interval at which a process next to a site reads the address of the site's object store."""


@contextlib.contextmanager
def own_object_store(settings: Settings) -> Iterator[Settings]:
    """Yield settings with the address of an S3 server; run the embedded server if no server is configured.

    The buckets are made. The caller holds the data folder's lock.

    Raises:
        StartupError, StoreUnavailable: the server cannot start or does not answer; the text names it.
    """
    if not settings.embedded_s3:
        _make_buckets(build_object_store(settings))
        yield settings
        return
    note = store_note(settings)
    server = EmbeddedS3(settings.data_dir)
    try:
        server.start()
        address = (server.endpoint_url, server.access_key_id, server.secret_access_key)
        with_s3 = _with_store(settings, *address)
        _make_buckets(build_object_store(with_s3))
        _write_private(note, json.dumps(address))
        yield with_s3
    finally:
        note.unlink(missing_ok=True)
        server.stop()


@contextlib.contextmanager
def shared_or_own_object_store(settings: Settings, starting_s: float = _STARTING_S) -> Iterator[Settings]:
    """Yield like ``own_object_store``, for a short-lived command, which shares a running site's store.

    Raises:
        StartupError: the process that holds the data folder does not publish its object store's address.
    """
    with contextlib.ExitStack() as stack:
        deadline_s = time.monotonic() + starting_s
        while settings.embedded_s3 and not try_lock(settings, stack):
            if with_s3 := _site_object_store(settings):
                yield with_s3
                return
            if time.monotonic() > deadline_s:
                raise StartupError(
                    f"Another CatLoader runs on the data folder {settings.data_dir}, "
                    "and does not publish the address of its object store."
                )
            time.sleep(POLL_S)
        yield stack.enter_context(own_object_store(settings))


@contextlib.contextmanager
def wait_for_site_object_store(settings: Settings) -> Iterator[Settings]:
    """Yield like ``own_object_store``, for a long-running process next to a site.

    It never locks the data folder, because the site may start later, or restart. If the configured S3 server
    is unavailable, it waits, and photos wait meanwhile. Wrong keys or settings are refused. If the site's
    store has another address after a restart, the process gets SIGTERM.

    Raises:
        StartupError: at the end of the block, if the address has changed.
    """
    if not settings.embedded_s3:
        _make_buckets_when_it_answers(settings)
        yield settings
        return
    logged = False
    while (site_store := _site_object_store(settings)) is None:
        if not logged:
            logger.info("waiting for a site on %s, which runs the object store", settings.data_dir)
            logged = True
        time.sleep(POLL_S)
    with _end_if_moved(settings, site_store):
        yield site_store


def refuse_missing_rights(settings: Settings) -> None:
    """Store, read and delete a small object in each bucket of a configured S3 server.

    Raises:
        StartupError: the keys lack a right without which every upload or every deletion would fail.
        NoAnswer: the server can't be reached.
    """
    if settings.embedded_s3:
        return
    if sentence := Probes(build_object_store(settings)).missing_right():
        raise StartupError(f"{sentence} `catloader doctor` tests every right that the site needs.")


def _site_object_store(settings: Settings) -> Settings | None:
    """Return settings with the store of the process that holds the data folder; None: no store runs (yet)."""
    with contextlib.ExitStack() as stack:
        if try_lock(settings, stack, fcntl.LOCK_SH):  # released at once
            return None
    try:
        return _with_store(settings, *json.loads(store_note(settings).read_text()))
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _end_if_moved(settings: Settings, used: Settings) -> Iterator[None]:
    """Send SIGTERM to this process when the site publishes another address; raise it after the block."""
    ended, addresses = threading.Event(), list[str]()

    def watch() -> None:
        while not ended.wait(_WATCH_S):
            with contextlib.suppress(OSError, ValueError, TypeError):  # the site is not running
                # A note that a killed site has left has the address in use.
                now = _with_store(settings, *json.loads(store_note(settings).read_text()))
                if now != used:
                    addresses.append(now.s3_endpoint_url)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    threading.Thread(target=watch, name="site-store", daemon=True).start()
    try:
        yield
    except SystemExit:
        if not addresses:
            raise
    finally:
        ended.set()
    if addresses:
        raise StartupError(f"The site's object store is at {addresses[0]} now; start this command again.")


def _with_store(
    settings: Settings, endpoint_url: str, access_key_id: str, secret_access_key: str
) -> Settings:
    return settings.with_changes(
        s3_endpoint_url=endpoint_url,
        s3_access_key_id=access_key_id,
        s3_secret_access_key=secret_access_key,
    )


def _make_buckets(store: ObjectStore) -> None:
    """Make the buckets that are missing.

    Raises:
        NoAnswer: the server does not answer.
        StoreUnavailable: it refuses; with the reason, which the refusal of the first request, a HEAD, lacks.
    """
    try:
        store.ensure_buckets()
    except NoAnswer:
        raise
    except StoreUnavailable as error:
        findings = list(Probes(store).run())
        reason = next((finding.sentence for finding in findings if finding.works is False), "")
        raise StoreUnavailable(f"{error} {reason}".strip()) from error


def _make_buckets_when_it_answers(settings: Settings) -> None:
    store, limit = build_object_store(settings), LogLimit()
    while True:
        try:
            _make_buckets(store)
        except NoAnswer as error:
            if (suffix := limit.suffix()) is not None:
                logger.warning("%s Waiting for it; photos wait meanwhile.%s", error, suffix)
            time.sleep(_RETRY_S)
        else:
            return


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
