"""Collect the tests without garbage collection, which would take a quarter of that time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    # Not gc.freeze() afterwards: with it a signal that a test sends to itself ended this process (SIGSEGV).
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
