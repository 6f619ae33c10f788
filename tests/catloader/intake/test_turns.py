"""Turns of real processes. A turn is a file lock of the kernel."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from PIL import Image

from catloader.errors import UploadsBusy
from catloader.intake.isolated import prepare_item
from catloader.intake.places import BUSY
from catloader.intake.prepare import Limits
from catloader.intake.turns import LARGE_PIXELS, turn

_LARGE = LARGE_PIXELS + 1
_BUSY = 3


@contextmanager
def _process(work: Callable[[], object]) -> Iterator[int]:
    """Fork a process that does the work and then stays alive; yield its process id when the work is done."""
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
    """Return a function that takes a turn and never returns it."""
    return turn(_LARGE, at_once, 0.0).__enter__


def _gets_a_turn(pixels: int, at_once: int = 1, *, patience_s: float = 60.0) -> bool:
    """Wait for a turn in a child process; return False if none was free in time."""
    started_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            with turn(pixels, at_once, patience_s):
                os._exit(0)
        except UploadsBusy:
            os._exit(_BUSY)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WEXITSTATUS(status) in (0, _BUSY)
    if os.WEXITSTATUS(status) == _BUSY:
        assert time.monotonic() - started_s >= patience_s
    return os.WEXITSTATUS(status) == 0


def test_large_photo_waits_for_another_process_and_a_small_one_does_not() -> None:
    with _process(_hold()):
        assert not _gets_a_turn(_LARGE, patience_s=0.2)
        assert _gets_a_turn(LARGE_PIXELS, patience_s=0.0)
    assert _gets_a_turn(_LARGE)


def test_killed_process_releases_its_turn() -> None:
    with _process(_hold()) as holder:
        os.kill(holder, signal.SIGKILL)
        assert _gets_a_turn(_LARGE)


def test_as_many_turns_as_allowed_run_at_once() -> None:
    with _process(_hold(2)):
        assert _gets_a_turn(_LARGE, 2, patience_s=0.0)
        with _process(_hold(2)):
            assert not _gets_a_turn(_LARGE, 2, patience_s=0.2)


def test_turn_ends_with_its_photo() -> None:
    def take_one() -> None:
        with turn(_LARGE, 1, 0.0):
            pass

    with _process(take_one):
        assert _gets_a_turn(_LARGE, patience_s=0.0)


def test_large_photo_without_a_turn_is_refused_with_retry() -> None:
    limits = Limits(2**30, 50_000_000, 2560, 256, 90, large_at_once=1, large_wait_s=0.05)
    file = io.BytesIO()
    Image.new("L", (4000, LARGE_PIXELS // 4000 + 1)).save(file, "PNG")
    with _process(_hold()):
        refusal, _ = prepare_item(asdict(limits), [file.getvalue()])
    assert (refusal["refused"], refusal["message"]) == (UploadsBusy.__name__, BUSY)
