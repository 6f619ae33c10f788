"""The queue of mails, and the thread that sends them: a request never waits for the mail server."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage

from catloader.errors import StoreUnavailable
from catloader.mail.smtp import NotSent
from checker.log_limit import LogLimits
from checker.plurals import counted

logger = logging.getLogger(__name__)

RETRIES_S = (2.0, 5.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0)
"""Delays between attempts, seven minutes in all. People do not wait longer for a mail that they requested."""
MOST_WAITING = 500
"""Maximum number of waiting mails in one process; each takes about 1 kB."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message and its only recipient."""

    message: EmailMessage
    recipient: str


Write = Callable[[], Mail | None]
"""Writes a mail just before each attempt, so that its link is fresh. None: there is nothing to send."""


@dataclass(order=True, slots=True)
class _Job:
    due_s: float
    number: int
    write: Write = field(compare=False)
    attempts: int = field(compare=False, default=0)


class Outbox:
    """One daemon thread and a queue in memory. Mails that are still queued when the process ends are lost.

    Args:
        send: passes a message to the mail server; returns the failure, or None.
        retries_s: delays before the second attempt, the third, and so on.
        most: maximum number of queued mails.
    """

    def __init__(
        self,
        send: Callable[[EmailMessage, str], NotSent | None],
        *,
        retries_s: Sequence[float] = RETRIES_S,
        most: int = MOST_WAITING,
    ) -> None:
        self._send, self._retries_s, self._most = send, retries_s, most
        self._jobs: list[_Job] = []
        self._numbers = 0
        self._changed = threading.Condition()
        self._closing = False
        self._log_limits = LogLimits()
        self._thread = threading.Thread(target=self._run, name="mail", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
            lost = len(self._jobs)
        if lost:
            logger.warning("not sent, and lost: %s", counted(lost, "mail"))
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def put(self, write: Write, after_s: float = 0.0) -> bool:
        """Queue a mail that is due in ``after_s``. Return False if the queue is full: it is dropped."""
        with self._changed:
            if len(self._jobs) < self._most:
                self._numbers += 1
                heapq.heappush(self._jobs, _Job(time.monotonic() + after_s, self._numbers, write))
                self._changed.notify()
                return True
        if (suffix := self._log_limits.suffix("full")) is not None:
            logger.warning("%d mails wait; one more was dropped%s", self._most, suffix)
        return False

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._attempt(job)
            except StoreUnavailable as error:
                self._failed(job, NotSent(error.cause, retryable=True))
            except Exception:  # top of the thread, which must keep running
                logger.exception("a mail could not be written")

    def _next(self) -> _Job | None:
        """Wait for the next job that is due, and return it; None if the process is ending."""
        with self._changed:
            while not self._closing:
                wait_s = self._jobs[0].due_s - time.monotonic() if self._jobs else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._jobs)
                self._changed.wait(wait_s)
        return None

    def _attempt(self, job: _Job) -> None:
        mail = job.write()
        if mail is None:
            return
        failure = self._send(mail.message, mail.recipient)
        if failure is not None:
            self._failed(job, failure)

    def _failed(self, job: _Job, failure: NotSent) -> None:
        retried = failure.retryable and job.attempts < len(self._retries_s)
        if (suffix := self._log_limits.suffix(failure.reason)) is not None:
            action = "retried later" if retried else "given up"
            logger.warning("A mail is %s: %s%s", action, failure.reason, suffix)
        if retried:
            job.due_s, job.attempts = time.monotonic() + self._retries_s[job.attempts], job.attempts + 1
            with self._changed:
                heapq.heappush(self._jobs, job)
