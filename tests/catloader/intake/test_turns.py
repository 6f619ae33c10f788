"""Real processes: a turn is a lock of the kernel."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catloader.intake.turns import LARGE_PIXELS, turn

_LARGE = LARGE_PIXELS + 1


@contextmanager
def _process(work: Callable[[], object]) -> Iterator[int]:
    """Fork a process that does the work and waits; yield its number once the work is done."""
    done, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(end, b".")
            time.sleep(60)
        finally:
            os._exit(0)
    try:
        os.close(end)
        assert os.read(done, 1) == b"."
        yield pid
    finally:
        os.close(done)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _hold(at_once: int = 1) -> Callable[[], object]:
    """Return a work that begins a turn and never ends it."""
    return turn(_LARGE, at_once).__enter__


def _seconds_for_a_turn(pixels: int, at_once: int, longest_s: float) -> float:
    """Measure in a process of its own how long a turn has to wait; it gives up after ``longest_s``."""
    started_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the test runner's own
        signal.setitimer(signal.ITIMER_REAL, longest_s)
        with turn(pixels, at_once):
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return time.monotonic() - started_s


def test_large_photo_waits_for_another_process_and_a_small_one_does_not() -> None:
    with _process(_hold()):
        assert _seconds_for_a_turn(_LARGE, 1, longest_s=1.0) >= 1.0
        assert _seconds_for_a_turn(LARGE_PIXELS, 1, longest_s=30.0) < 30.0
    assert _seconds_for_a_turn(_LARGE, 1, longest_s=30.0) < 30.0


def test_killed_process_leaves_its_turn() -> None:
    with _process(_hold()) as holder:
        os.kill(holder, signal.SIGKILL)
        assert _seconds_for_a_turn(_LARGE, 1, longest_s=30.0) < 30.0


def test_as_many_take_turns_as_are_allowed() -> None:
    with _process(_hold(2)):
        assert _seconds_for_a_turn(_LARGE, 2, longest_s=30.0) < 30.0
        with _process(_hold(2)):
            assert _seconds_for_a_turn(_LARGE, 2, longest_s=1.0) >= 1.0


def test_turn_ends_with_its_photo() -> None:
    def take_one() -> None:
        with turn(_LARGE, 1):
            pass

    with _process(take_one):
        assert _seconds_for_a_turn(_LARGE, 1, longest_s=30.0) < 30.0
