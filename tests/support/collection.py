"""Collect the tests without garbage collection, which would take a quarter of that time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave what was imported and collected out of all later collections, too: it stays until the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Let libraries free at their end what was left out; they would report it as leaked."""
    gc.unfreeze()
