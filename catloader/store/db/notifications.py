"""Wake-ups through PostgreSQL: a NOTIFY reaches every checker that listens, on whatever machine.

They are hints as every other wake-up. A connection that breaks, or a pooler between them that hands one
connection to many (PgBouncer in transaction mode), loses some: then the sweep finds the photos.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from catloader.errors import StoreUnavailable
from catloader.store.db.engine import database_name, writing

logger = logging.getLogger(__name__)

_CHANNEL = "catloader_photos_waiting"
_SEND = text(f"SELECT pg_notify('{_CHANNEL}', '')")
_PROBE_S = 30.0
"""A connection without a notification for so long is tried out: a router may have dropped it."""


def can_notify(engine: Engine) -> bool:
    """Tell if the database has notifications."""
    return engine.dialect.name == "postgresql"


def notify(engine: Engine) -> str:
    """Wake all listeners; return one sentence if that failed."""
    try:
        with writing(engine) as connection:
            connection.execute(_SEND)
    except StoreUnavailable as error:
        return f"No checker was woken: {error}"
    return ""


class Listener:
    """One thread with a connection of its own that calls ``wake`` at each notification.

    It also calls ``wake`` whenever it has connected: something may have been said before.

    Args:
        retry_s: time until a broken connection is made again.
    """

    def __init__(self, engine: Engine, wake: Callable[[], None], *, retry_s: float) -> None:
        self._engine, self._wake, self._retry_s = engine, wake, retry_s
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
                logger.warning("no wake-ups from %s: %s; trying again", database_name(self._engine), reason)
                self._closing.wait(self._retry_s)

    def _listen(self) -> None:
        """Listen on a connection of its own, outside of the pool, until it breaks or ``close`` is called."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.rollback()  # the transaction of the pool's own test
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}")
            self.listening.set()
            self._wake()
            with selectors.DefaultSelector() as selector:
                selector.register(connection.fileno(), selectors.EVENT_READ)
                selector.register(self._stopped, selectors.EVENT_READ)
                while not self._closing.is_set():
                    if not selector.select(_PROBE_S):
                        connection.execute("SELECT 1")
                    elif list(connection.notifies(timeout=0)):
                        self._wake()
        finally:
            self.listening.clear()
            pooled.close()
