"""Wake-ups through PostgreSQL: a NOTIFY reaches every checker that listens, on any machine.

They are hints like all other wake-ups: if some are lost with a broken connection, the sweep finds the photos.
A pooler that shares one connection among many clients (PgBouncer in transaction mode) passes no notifications
on. The listener detects this, logs it, and relies on the sweep.
"""

from __future__ import annotations

import logging
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from catloader.errors import StoreUnavailable
from catloader.store.db.engine import database_name, writing
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

_CHANNEL = "catloader_photos_waiting"
_SEND = text(f"SELECT pg_notify('{_CHANNEL}', :word)")
_STAY = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
"""An operator's limit on idle sessions (PostgreSQL 14) would end every wait for a notification."""
_PROBE_S = 30.0
"""A connection without a notification for this long is tested: a router may have dropped it."""
_ECHO_S = 5.0
"""Time for a notification to come back on a busy server."""
_POOLER_RETRY_S = 600.0


def can_notify(engine: Engine) -> bool:
    """Return True if the database has notifications."""
    return engine.dialect.name == "postgresql"


class _NoEcho(Exception):
    """A pooler passes no notifications on to the connection."""


def notify(engine: Engine, word: str = "") -> str:
    """Wake all listeners; return a sentence if that failed, else an empty string.

    Args:
        word: random text of a listener that tests its connection; it wakes no listener.
    """
    try:
        with writing(engine) as connection:
            connection.execute(_SEND, {"word": word})
    except StoreUnavailable as error:
        return f"No checker was woken: {error}"
    return ""


class Listener:
    """A thread with its own connection that calls ``wake`` at each notification.

    It also calls ``wake`` whenever it has connected, since notifications may have been sent before.

    Args:
        retry_s: wait before a broken connection is replaced.
        echo_s: a test notification that takes longer counts as held back by a pooler.
    """

    def __init__(
        self, engine: Engine, wake: Callable[[], None], *, retry_s: float, echo_s: float = _ECHO_S
    ) -> None:
        self._engine, self._wake, self._retry_s, self._echo_s = engine, wake, retry_s, echo_s
        self._log_limits = LogLimits()
        self._closing = threading.Event()
        self._stop, self._stopped = socket.socketpair()
        self._thread: threading.Thread | None = None
        self.listening = threading.Event()
        """Set while a connection listens."""

    def start(self) -> None:
        """Listen in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="listen", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Close the connection."""
        self._closing.set()
        self._stop.close()  # ends the wait of the thread
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        if self._thread is None or not self._thread.is_alive():
            self._stopped.close()

    def _run(self) -> None:
        from psycopg import Error

        while not self._closing.is_set():
            try:
                self._listen()
            except (Error, SQLAlchemyError, OSError) as error:
                reason = " ".join(str(error).split()).partition("(Background")[0].strip()
                self._log(f"{reason}; trying again")
                self._closing.wait(self._retry_s)
            except _NoEcho:
                self._log(
                    "a pooler in transaction mode passes no notifications on, so waiting photos are found "
                    "only every CATCHECK_SWEEP_S; set DATABASE_URL to the server itself for this process"
                )
                self._closing.wait(_POOLER_RETRY_S)
            except Exception:  # the top of this thread; the sweep finds the photos meanwhile
                if (suffix := self._log_limits.suffix("unknown")) is not None:
                    name = database_name(self._engine)
                    logger.exception("no wake-ups from %s; trying again%s", name, suffix)
                self._closing.wait(self._retry_s)

    def _log(self, reason: str) -> None:
        if (suffix := self._log_limits.suffix("listen")) is not None:
            logger.warning("no wake-ups from %s: %s%s", database_name(self._engine), reason, suffix)

    def _listen(self) -> None:
        """Listen on a connection outside the pool until the connection breaks or ``close`` is called."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.rollback()  # the transaction of the pool's own test
            connection.autocommit = True
            connection.execute(_STAY)
            connection.execute(f"LISTEN {_CHANNEL}")
            self._wake()
            with selectors.DefaultSelector() as selector:
                selector.register(connection.fileno(), selectors.EVENT_READ)
                selector.register(self._stopped, selectors.EVENT_READ)
                self._await_echo(connection, selector)
                self.listening.set()
                while not self._closing.is_set():
                    if not selector.select(_PROBE_S):
                        connection.execute("SELECT 1")
                    elif any(not message.payload for message in connection.notifies(timeout=0)):
                        self._wake()
        finally:
            self.listening.clear()
            connection.close()  # not through the pool, which logs a traceback if the server is gone

    def _await_echo(self, connection: Any, selector: selectors.BaseSelector) -> None:
        """Send a notification to this connection through another connection, and wait for it.

        Raises:
            _NoEcho: the notification has not arrived in time.
        """
        word = secrets.token_hex(8)
        if failure := notify(self._engine, word):
            raise OSError(failure)
        end_s = time.monotonic() + self._echo_s
        while not self._closing.is_set():
            if not selector.select(max(0.0, end_s - time.monotonic())):
                raise _NoEcho
            words = [message.payload for message in connection.notifies(timeout=0)]
            if "" in words:
                self._wake()
            if word in words:
                return
