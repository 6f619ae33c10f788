"""Ctrl-C is deferred while a block runs, and raised after it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from checker.interrupts import deferred_interrupt


def test_interrupt_is_raised_after_the_block() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with deferred_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("inside")
        steps.append("after")
    assert steps == ["inside"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_do_not_change_the_handler() -> None:
    def run() -> bool:
        with deferred_interrupt():
            return signal.getsignal(signal.SIGINT) is signal.default_int_handler

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result()
