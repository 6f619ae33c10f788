"""Connections to a PostgreSQL server that may hang: its machine acknowledges packets, and nothing answers.

Its processes may be stopped, or wait for a disk. No time limit of TCP ends the wait for such a server, and
its own time limits do not work. A statement may rightly take long, as in a migration; so after some seconds
without a response, the server is asked through a new connection.
"""

from __future__ import annotations

import math
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
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._failures, self._failed_s, self._next_try_s = 0, -math.inf, 0.0
        self._answers: dict[object, tuple[float, bool]] = {}
        """Server -> the time of the last question, and whether there was a response."""

    def __call__(
        self, _dialect: object, _record: object, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        connect = partial(_watched_kind().connect, *arguments, **options)
        connection = self._connected(connect)
        connection.watch = partial(self._watched, connect, _address(connection))
        return connection

    def _connected(self, connect: Any, *, must_answer: bool = False) -> Any:
        """Connect; after an attempt without a response, or with ``must_answer``, also execute a statement.

        Raises:
            psycopg.errors.ConnectionTimeout: no response in time, or none to the previous callers.
            psycopg.OperationalError: the server refuses the connection.
        """
        from psycopg.errors import ConnectionTimeout

        with self._lock:
            begun_s = time.monotonic()
            must_answer = must_answer or self._failures > 0
            if self._failures >= _TRIES:
                if begun_s < self._next_try_s:
                    raise ConnectionTimeout("new connections get no response")
                self._next_try_s = math.inf  # until this try has ended
        is_silent = False
        try:
            connection = connect()
            if must_answer:
                _ask(connection)
            return connection
        except ConnectionTimeout:
            is_silent = True
            raise
        finally:
            self._record(begun_s, is_silent=is_silent)

    def _record(self, begun_s: float, *, is_silent: bool) -> None:
        with self._lock:
            now_s = time.monotonic()
            if not is_silent:
                self._failures = 0
            elif begun_s >= self._failed_s:  # attempts at the same time count once
                self._failures, self._failed_s = self._failures + 1, now_s
            self._next_try_s = now_s + _PAUSE_S

    def _watched(
        self, connect: Any, address: Mapping[str, Any], connection: Any, steps: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        """Pass on the steps of a statement, which psycopg resumes ten times a second while it waits.

        Raises:
            psycopg.OperationalError: the server hangs.
        """
        from psycopg import OperationalError

        silent_since_s, failures = time.monotonic(), 0
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if ready or time.monotonic() - silent_since_s > self._ask_after_s:
                    failures = 0 if ready or self._answers_from(connect, address) else failures + 1
                    silent_since_s = time.monotonic()
                if failures == _TRIES:
                    connection.pgconn.finish()
                    raise OperationalError("no response, and new connections get none")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value

    def _answers_from(self, connect: Any, address: Mapping[str, Any]) -> bool:
        """Ask one server, through a connection of its own; waiting statements share the answer."""
        from psycopg import OperationalError
        from psycopg.errors import ConnectionTimeout

        server = tuple(address.values())
        with self._asking:
            question_s, answered = self._answers.get(server, (-math.inf, True))
            if time.monotonic() - question_s > self._ask_after_s:
                answered = True
                try:
                    self._connected(partial(connect, **address), must_answer=True).close()
                except ConnectionTimeout:
                    answered = False
                except OperationalError:  # such as too many connections, which is a response
                    pass
                self._answers[server] = time.monotonic(), answered
            return answered


def _address(connection: Any) -> dict[str, Any]:
    """Return the options that lead to the server of a connection, if its URL has several."""
    info = connection.info
    address = {"host": info.host, "port": info.port}
    return address | {"hostaddr": info.hostaddr} if info.hostaddr else address


def watch_again(connection: Any, _record: object, _state: object) -> None:
    """Undo ``lift_time_limits`` when a connection returns to the pool; for SQLAlchemy's event ``reset``."""
    connection.is_watched = True


def _ask(connection: Any) -> None:
    """Execute a statement; close the connection if there is no response in time.

    Raises:
        psycopg.errors.ConnectionTimeout: there is none.
    """
    connection.watch = _limited
    try:
        connection.execute(_ASK)
        connection.rollback()
    except BaseException:
        connection.close()
        raise
    connection.watch = None


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
        watch: Any = None
        is_watched = True

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            steps = self.watch(self, gen) if self.watch and self.is_watched else gen
            return super().wait(steps, *arguments, **options)

    return Watched
