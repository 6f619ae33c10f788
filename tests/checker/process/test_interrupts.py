"""Ctrl-C is deferred while a block runs, and raised after it."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from checker.process.interrupts import deferred_interrupt

_INTERRUPTED = """
import os, signal
from checker.process.interrupts import deferred_interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        print("inside")
    print("after")
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_interrupt_is_raised_after_the_block() -> None:
    # In a new process: a process with hundreds of libraries of other tests has died of this signal (SIGSEGV).
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split("\n") == ["inside", "interrupted True", ""]


def test_other_threads_do_not_change_the_handler() -> None:
    usual = signal.getsignal(signal.SIGINT)  # another one if the tests were started in the background

    def run() -> bool:
        with deferred_interrupt():
            return signal.getsignal(signal.SIGINT) is usual

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result()
