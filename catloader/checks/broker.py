"""Wake-ups through the broker of a Celery installation: tasks without arguments, one copy for each checker.

The work stays in the table of photos: if the broker loses all tasks, the sweep still finds the photos. A
fanout exchange has no queue in which tasks could accumulate while no checker listens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from catloader.errors import StartupError
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

TASK = "catloader.wake_up"
EXCHANGE = "catloader.wake-ups"

_CONNECT_S = 3.0
_POLL_S = 0.5
"""Longest time until a listener notices that it is being closed."""


class Broker:
    """The broker at an address. Thread-safe: each wake-up opens a connection.

    Args:
        answer_s: timeout of a response.

    Raises:
        StartupError: Celery is not installed.
    """

    def __init__(self, url: str, *, answer_s: float = 5.0) -> None:
        try:
            from celery import Celery
            from kombu.entity import Exchange
            from kombu.exceptions import KombuError
        except ModuleNotFoundError as error:
            raise StartupError(
                f"CATCHECK_DISPATCH=celery needs the package {error.name}: pip install 'catloader[celery]'."
            ) from error
        scheme, _, address = url.partition("://")
        self.name = f"{scheme}://{address.rpartition('@')[2].partition('?')[0]}"
        """Address without user name and password."""
        self._url, self._answer_s = url, answer_s
        # The loader and the configuration are explicit: Celery would otherwise read them from the
        # environment, which may have settings for another program.
        self._app = Celery("catloader", loader="celery.loaders.app:AppLoader", set_as_current=False)
        self._app.config_from_object(
            {
                "broker_connection_timeout": _CONNECT_S,
                "broker_transport_options": _limits(scheme, answer_s),
            }
        )
        self.exchange = Exchange(EXCHANGE, type="fanout")  # type: ignore[no-untyped-call]
        connection = self.connection()
        self.errors: tuple[type[Exception], ...] = (
            KombuError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    def connection(self) -> Any:
        """Return a new connection, which is opened at its first use."""
        # The address is explicit: Celery would prefer an address from the environment.
        return self._app.connection_for_write(url=self._url)

    def send(self) -> str:
        """Send the task; return an error message, or an empty string after success."""
        try:
            # Not `send_task`, which would open a second connection, to the broker of the environment.
            task = self._app.amqp.as_task_v2(uuid4().hex, TASK, ignore_result=True)
            with self.connection() as connection, self._app.amqp.Producer(connection) as producer:
                producer.publish(
                    task.body,
                    exchange=self.exchange,
                    declare=[self.exchange],
                    headers=task.headers,
                    delivery_mode="transient",
                    confirm_timeout=self._answer_s,
                    **task.properties,
                )
        except self.errors as error:
            return f"No checker was woken: {self.no_answer(error)}"
        return ""

    def no_answer(self, error: Exception) -> str:
        """Return a message of one line with the broker and the reason."""
        reason = " ".join(str(error).split()).rstrip(".")
        return f"The broker {self.name} does not answer: {reason or type(error).__name__}."


class BrokerListener:
    """A thread with a connection that calls ``wake`` when tasks arrive.

    It also calls ``wake`` after each connect, because a task may have been sent before. The content of tasks
    is not read.

    Args:
        retry_s: time until the next attempt to connect after an error.
    """

    def __init__(self, broker: Broker, wake: Callable[[], None], *, retry_s: float) -> None:
        self._broker, self._wake, self._retry_s = broker, wake, retry_s
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._log_limits = LogLimits()
        self.listening = threading.Event()
        """Set while a connection listens."""

    def start(self) -> None:
        """Listen in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _POLL_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except self._broker.errors as error:
                if (suffix := self._log_limits.suffix("broker")) is not None:
                    logger.warning("%s Trying again%s.", self._broker.no_answer(error), suffix)
                self._closing.wait(self._retry_s)
            except Exception:  # the top of this thread; the sweep finds the photos meanwhile
                if (suffix := self._log_limits.suffix("unknown")) is not None:
                    logger.exception("no wake-ups from %s; trying again%s", self._broker.name, suffix)
                self._closing.wait(self._retry_s)

    def _listen(self) -> None:
        """Listen on a connection until it breaks or ``close`` is called."""
        from kombu.common import Broadcast

        queue = Broadcast(  # type: ignore[no-untyped-call]
            EXCHANGE, exchange=self._broker.exchange, exclusive=True
        )
        with (
            self._broker.connection() as connection,
            connection.Consumer(queue, on_message=lambda _: None, no_ack=True),
        ):
            try:
                # With Redis, the first receive subscribes to the channel.
                _receive(connection, timeout_s=0.01)
                self.listening.set()
                self._wake()
                while not self._closing.is_set():
                    if _receive(connection, timeout_s=_POLL_S):
                        self._wake()
            finally:
                self.listening.clear()


def _receive(connection: Any, timeout_s: float) -> bool:
    """Receive the messages that have arrived; return False if none arrives within ``timeout_s``."""
    try:
        connection.drain_events(timeout=timeout_s)
    except TimeoutError:
        return False
    return True


def _limits(scheme: str, answer_s: float) -> dict[str, Any]:
    """Return the options of the transport: timeouts, so that a hanging broker blocks a thread for seconds."""
    once = {"max_retries": 0}  # the callers retry, and log it
    if scheme.startswith("amqp"):
        # Confirmed, because RabbitMQ silently accepts no messages while it is short of memory or disk.
        return {**once, "read_timeout": answer_s, "write_timeout": answer_s, "confirm_publish": True}
    return {
        **once,
        "socket_connect_timeout": _CONNECT_S,
        "socket_timeout": answer_s,
        "socket_keepalive": True,
        "retry_on_timeout": False,
    }
