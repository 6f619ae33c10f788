"""Headless Chromium for the screenshots, the icons and the browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.command_line import CannotRun

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MISSING = (
    "There is no Chromium: install Debian's chromium-headless-shell or chromium, "
    "or name a program in CATLOADER_TEST_CHROMIUM."
)
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The headless shell comes first: pages take two thirds of the time, because it has no browser window."""
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def program() -> str | None:
    """Return the path of the Chromium to use, or None if none is installed."""
    return os.environ.get("CATLOADER_TEST_CHROMIUM") or next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Run Chromium until the end of the block.

    Raises:
        CannotRun: Chromium is not installed.
    """
    from playwright.sync_api import sync_playwright

    path = program()
    if path is None:
        raise CannotRun(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS, *flags])
        yield browser
        browser.close()
