"""A site of its own for browser tests, and a person who fills in its forms in Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Locator, Page, expect

from catloader.demo.client import free_port
from tests.support.environ import environ_without_settings

PASSWORD = "correct horse battery"


class Site:
    def __init__(self, folder: Path, **settings: object) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environ = environ_without_settings(
            CATLOADER_DATA_DIR=folder / "data",
            CATLOADER_PORT=port,
            CATCHECK_MODEL="efficientnet_lite0",
            # Photos wait until the test runs `check run`, so the waiting badge is always seen.
            CATCHECK_DISPATCH="off",
            CATLOADER_MAX_FILE_BYTES=1_000_000,
            CATLOADER_MAX_FILES=4,
            **settings,
        )
        self.database = folder / "data/catloader.sqlite3"
        self._log = folder / "log"
        self._pid = 0

    @contextmanager
    def running(self) -> Iterator[Site]:
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "catloader", "serve"],
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                process_group=0,
            )
        with process:
            assert process.stdout
            self._pid = process.pid
            try:
                assert any("Ready for uploads" in line for line in process.stdout), self._log.read_text()
                yield self
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.wait(20)

    def object_store(self) -> psutil.Process:
        """Return the embedded S3's process."""
        children = psutil.Process(self._pid).children()
        return next(child for child in children if "mini" in child.cmdline())

    def check(self) -> None:
        """Check all waiting photos with the real model."""
        self._catloader("check", "run")

    def promote_reviewer(self, email: str) -> None:
        self._catloader("user", "promote", email, "--role", "reviewer")

    def promote_administrator(self, email: str) -> None:
        self._catloader("user", "promote", email)

    def _catloader(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "catloader", *arguments]
        subprocess.run(command, env=self._environ, check=True, capture_output=True, timeout=120)


def register(page: Page, email: str) -> None:
    page.goto("/")
    page.get_by_role("main").get_by_role("link", name="Create account").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()
    page.wait_for_load_state()  # a click that comes before the scripts opens the file picker, for example


def log_in(page: Page, email: str) -> None:
    page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()


def log_out(page: Page) -> None:
    page.goto("/account")
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()


def press(page: Page, key: str) -> None:
    """Press a key of the page's own, once its scripts run: a key that comes before them does nothing."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def width_px(picture: Locator) -> int:
    """Return the width of the file that a picture shows: ``naturalWidth`` is divided by its density."""
    width = picture.evaluate(
        "async picture => (await createImageBitmap(await (await fetch(picture.currentSrc)).blob())).width"
    )
    assert isinstance(width, int)
    return width
