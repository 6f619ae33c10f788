"""A bounded pool of decoding children: exactly one result per item, even if its bytes crash the child."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from checker.errors import (
    CheckerError,
    DecoderUnavailable,
    DecodingFailed,
    DecodingTooLarge,
    DecodingTooSlow,
    Unexpected,
)
from checker.isolation import frames
from checker.isolation.child import NEVER_READY
from checker.isolation.fork_server import Child, ForkServer
from checker.isolation.limits import Limits
from checker.process.signal_names import signal_name

logger = logging.getLogger(__name__)

_ITEMS_OF_A_CHILD = 500
"""After this many items a child is replaced: a fork takes milliseconds, and memory that a decoder has leaked
or overwritten is lost with its process."""
_FROM_OUTSIDE = (None, signal.SIGKILL, signal.SIGTERM)
"""Signals for which a photo is not blamed at first: the kernel had no memory left, or the child ended with
its server or with all processes of a service that is stopped."""
_NEVER_READY = "The process that decodes photos ended before it could receive one."
_TOO_SLOW = "Decoding this photo takes too long."
_TOO_LARGE = "Decoding this photo takes too much memory."


@dataclass(frozen=True, slots=True)
class Reply:
    """The result for one item."""

    result: Mapping[str, Any]
    blobs: Sequence[bytes]


@dataclass(slots=True)
class _Worker:
    child: Child
    items: int = 0
    is_sound: bool = True


class ChildPool:
    """At most ``children`` processes, forked when needed and then reused. Thread-safe.

    Memory: ``children x limits.memory_bytes`` at most, and in the caller the bytes of requests in progress.
    """

    def __init__(self, server: ForkServer, *, children: int, limits: Limits) -> None:
        self._server, self._limits, self._children = server, limits, children
        self._turns = threading.BoundedSemaphore(children)
        self._alone = threading.Lock()
        """Held by the thread that waits for all turns: two that each hold some would wait for each other."""
        self._idle: deque[_Worker] = deque()
        self._closed = False

    def close(self) -> None:
        """End the idle children; busy children end after their current request."""
        self._closed = True
        self._end_idle()

    def _end_idle(self) -> None:
        while self._idle:
            self._server.end(self._idle.pop().child)

    def run(
        self, work: str, arguments: Mapping[str, Any], items: Sequence[Sequence[bytes]]
    ) -> Iterator[Reply | CheckerError]:
        """Send the items to one child in one message; yield the result of each, in order.

        The item at which a child ends is blamed, and another child gets the items after it. If a child was
        killed from outside, another child gets the same item alone, while no other child works, since several
        large photos may need more memory than there is. Only a second kill is blamed on the item.
        Waits while all children are busy.

        Yields:
            DecodingFailed: the item crashed the child or exceeded a limit.
            DecoderUnavailable: no child could be started, or the child ended before its first item.
            Unexpected: a bug in ``work``; logged.
        """
        done, was_killed = 0, False
        while done < len(items):
            part = items[done : done + 1] if was_killed else items[done:]
            with self._all_turns() if was_killed else self._turns:
                finished, was_killed = yield from self._until_killed(
                    work, arguments, part, killed_before=was_killed
                )
            done += finished

    @contextmanager
    def _all_turns(self) -> Iterator[None]:
        """Wait until no child works, and end the idle ones, which hold memory."""
        taken = 0
        with self._alone:
            try:
                for _ in range(self._children):
                    self._turns.acquire()
                    taken += 1
                self._end_idle()
                yield
            finally:
                for _ in range(taken):
                    self._turns.release()

    def _until_killed(
        self,
        work: str,
        arguments: Mapping[str, Any],
        items: Sequence[Sequence[bytes]],
        *,
        killed_before: bool,
    ) -> Generator[Reply | CheckerError, None, tuple[int, bool]]:
        """Yield the results up to the item at which a child was killed from outside for the first time.

        Returns:
            The number of results, and True if there is such an item after them.
        """
        done = 0
        while done < len(items):
            try:
                worker = self._take()
            except DecoderUnavailable as error:
                yield from [error] * (len(items) - done)
                break
            worker.is_sound = False  # until every item has its reply
            fault: OSError | None = None
            try:
                for reply in self._replies(worker, work, arguments, items[done:]):
                    done += 1
                    yield reply
            except OSError as error:
                fault = error
            finally:
                death = self._put_back(worker)
            if fault is None or done == len(items):
                continue
            if death == NEVER_READY:
                yield from [DecoderUnavailable(_NEVER_READY)] * (len(items) - done)
                break
            timed_out = isinstance(fault, TimeoutError)
            if not timed_out and death in _FROM_OUTSIDE and not killed_before:
                return done, True
            done += 1
            yield _blame(timed_out, death)
        return len(items), False

    def _replies(
        self, worker: _Worker, work: str, arguments: Mapping[str, Any], items: Sequence[Sequence[bytes]]
    ) -> Iterator[Reply | CheckerError]:
        """Yield a reply for each item.

        Raises:
            OSError: the child has ended.
            TimeoutError: the child takes too long.
        """
        request = {
            "work": work,
            "arguments": dict(arguments),
            "cpu_s": self._limits.cpu_s,
            "blobs_of_item": [len(item) for item in items],
        }
        end, wall_s = worker.child.end, self._limits.wall_s
        end.settimeout(wall_s)
        frames.send(end, request, [blob for item in items for blob in item])
        sound = True
        for _ in items:
            header, blobs = frames.receive(end, time.monotonic() + wall_s)
            failure = _failure(header)
            sound = sound and failure is None
            yield Reply(header.get("result", {}), blobs) if failure is None else failure
        last, _ = frames.receive(end, time.monotonic() + wall_s)
        worker.is_sound = sound and not last.get("retire")
        worker.items += len(items)

    def _take(self) -> _Worker:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return _Worker(self._server.fork())
            if _is_alive(worker.child):
                return worker
            self._server.end(worker.child)

    def _put_back(self, worker: _Worker) -> int | None:
        """Keep a sound child for the next request; end any other child. Returns as ``ForkServer.end``."""
        if worker.is_sound and worker.items < _ITEMS_OF_A_CHILD and not self._closed:
            self._idle.append(worker)
            return 0
        return self._server.end(worker.child)


def _failure(header: frames.Header) -> CheckerError | None:
    """Return the error that a child reports for an item; None if it has a result."""
    if "result" in header:
        return None
    if header.get("failed") == "memory":
        return DecodingTooLarge(_TOO_LARGE)
    logger.error("a decoding process failed: %s", header.get("traceback"))
    return Unexpected("The decoder failed on this photo.")


def _blame(timed_out: bool, death: int | None) -> DecodingFailed:
    if timed_out or death == signal.SIGPROF:
        return DecodingTooSlow(_TOO_SLOW)
    if death == signal.SIGKILL:
        return DecodingTooLarge("The process that decoded this photo was killed, twice.")
    name = signal_name(death) if death else "without a signal"
    return DecodingFailed(f"This photo crashed the decoder ({name}).")


def _is_alive(child: Child) -> bool:
    """Return True if an idle child still holds its end of the connection."""
    child.end.settimeout(0)
    try:
        child.end.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False  # the child has ended, or sent data without a request
