"""Connections to a PostgreSQL server that may hang: its machine acknowledges packets, and nothing answers.

Its processes may be stopped, or wait for a disk. No time limit of TCP ends the wait for such a server, and
its own time limits do not work. A statement may rightly take long, as in a migration; so after some seconds
without a response, the server is asked through a new connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from functools import cache, partial
from typing import Any

_TRIES = 2
"""A busy server may once need more than the time limit of a connection."""
_PAUSE_S = 3.0
_ANSWER_S = 5.0
"""Time limit for the response to a statement that only asks. A pooler may accept connections by itself."""
_ASK = "SELECT 1"


class ServerWatch:
    """Makes the connections of one engine, as a listener to SQLAlchemy's event ``do_connect``. Thread-safe.

    After two attempts in succession that got no response in time, one caller tries again after a pause; the
    others fail at once.

    Args:
        ask_after_s: the argument of ``make_engine``.
    """

    def __init__(self, ask_after_s: float) -> None:
        self._ask_after_s = ask_after_s
        self._lock = threading.Lock()
        self._failures = 0
        self._next_try_s = 0.0

    def __call__(
        self, _dialect: object, _record: object, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        connect = partial(_watched_kind().connect, *arguments, **options)
        connection = self._connected(connect)
        connection.watched = partial(self._watched, connect)
        return connection

    def _connected(self, connect: Any, *, must_answer: bool = False) -> Any:
        """Connect; after an attempt without a response, or with ``must_answer``, also execute a statement.

        Raises:
            psycopg.errors.ConnectionTimeout: no response in time, or none to the previous callers.
            psycopg.OperationalError: the server refuses the connection.
        """
        from psycopg.errors import ConnectionTimeout

        with self._lock:
            must_answer = must_answer or self._failures > 0
            if self._failures >= _TRIES:
                if time.monotonic() < self._next_try_s:
                    raise ConnectionTimeout("new connections get no response")
                self._next_try_s = float("inf")  # until this try has ended
        failures = 0
        try:
            connection = connect()
            if must_answer:
                _ask(connection)
            return connection
        except ConnectionTimeout:
            failures = self._failures + 1
            raise
        finally:
            with self._lock:
                self._failures, self._next_try_s = failures, time.monotonic() + _PAUSE_S

    def _watched(
        self, connect: Any, connection: Any, steps: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        """Pass on the steps of a statement, which psycopg resumes ten times a second while it waits.

        Raises:
            psycopg.OperationalError: the server hangs.
        """
        from psycopg import OperationalError
        from psycopg.errors import ConnectionTimeout

        silent_since_s, failures = time.monotonic(), 0
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if ready or time.monotonic() - silent_since_s > self._ask_after_s:
                    try:
                        if not ready:
                            self._connected(connect, must_answer=True).close()
                        failures = 0
                    except ConnectionTimeout:
                        failures += 1
                    except OperationalError:  # such as too many connections, which is a response
                        failures = 0
                    silent_since_s = time.monotonic()
                if failures == _TRIES:
                    connection.pgconn.finish()
                    raise OperationalError("no response, and new connections get none")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value


def _ask(connection: Any) -> None:
    """Execute a statement; close the connection if there is no response in time.

    Raises:
        psycopg.errors.ConnectionTimeout: there is none.
    """
    connection.watched = _limited
    try:
        connection.execute(_ASK)
        connection.rollback()
    except BaseException:
        connection.close()
        raise
    connection.watched = None


def _limited(connection: Any, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    from psycopg.errors import ConnectionTimeout

    end_s = time.monotonic() + _ANSWER_S
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end_s:
                connection.pgconn.finish()
                raise ConnectionTimeout("new connections get no response")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


@cache
def _watched_kind() -> Any:
    from psycopg import Connection

    class Watched(Connection[Any]):
        watched: Any = None

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            return super().wait(self.watched(self, gen) if self.watched else gen, *arguments, **options)

    return Watched
