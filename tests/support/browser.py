"""A separate site for browser tests, and a user who fills in its forms in Chromium."""

from __future__ import annotations

import os
import re
import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path

import psutil
from click.testing import CliRunner
from playwright.sync_api import Locator, Page, expect

from catloader.cli import main
from catloader.demo.client import Visitor, free_port
from catloader.server.object_store import shared_or_own_object_store
from catloader.settings import Settings, variables
from catloader.wiring import build
from checker.service import CheckerService
from tests.support import forked
from tests.support.environ import environ_without_settings
from tests.support.processes import command_of, end
from tests.support.serving import add_tables

PASSWORD = "correct horse battery"
UPLOADS_AT_ONCE = 2


class Site:
    def __init__(self, folder: Path, **settings: object) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environ = environ_without_settings(
            CATLOADER_DATA_DIR=folder / "data",
            CATLOADER_PORT=port,
            CATCHECK_MODEL="efficientnet_lite0",
            # Photos wait until the test runs `check run`, so the waiting badge can be seen.
            CATCHECK_DISPATCH="off",
            CATLOADER_MAX_FILE_BYTES=1_000_000,
            CATLOADER_MAX_FILES=4,
            CATLOADER_UPLOADS_AT_ONCE=UPLOADS_AT_ONCE,
            CATLOADER_LOGIN_RATE="1000 per minute",
            CATLOADER_REGISTER_RATE="1000 per minute",
            **settings,
        )
        self.database = folder / "data/catloader.sqlite3"
        self.database.parent.mkdir(mode=0o700)
        add_tables(self.database.parent)
        self._log = folder / "log"
        self._pid = 0

    @contextmanager
    def running(self) -> Iterator[Site]:
        process = forked.start("catloader", ["serve"], self._environ, self._log)
        self._pid = process.pid

        def must_run() -> None:
            assert process.poll() is None, self._log.read_text()

        try:
            Visitor(self.url, must_run).wait_until_ready()
            with ExitStack() as self._opened:
                yield self
        finally:
            end(process)

    def object_store(self) -> psutil.Process:
        """Return the embedded S3's process."""
        children = psutil.Process(self._pid).children()
        return next(child for child in children if "mini" in command_of(child))

    @contextmanager
    def emails_given_back(self) -> Iterator[None]:
        """Rename accounts made in the block when it ends, so that a later test can use their addresses."""
        with self._accounts() as connection:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM users").fetchone()
        yield
        with self._accounts() as connection:
            connection.execute("UPDATE users SET email = id || '-' || email WHERE id > ?", (last,))

    def let_sessions_expire(self, email: str) -> None:
        """Make the sessions of an account idle for longer than the limit."""
        with self._accounts() as connection:
            own = "user_id = (SELECT id FROM users WHERE email = ?)"
            connection.execute(
                f"UPDATE sessions SET used_at = '2000-01-01 00:00:00.000000' WHERE {own}", (email,)
            )

    def limit_photos(self, email: str, number: int) -> None:
        with self._accounts() as connection:
            connection.execute("UPDATE users SET max_photos = ? WHERE email = ?", (number, email))

    @contextmanager
    def _accounts(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.database, timeout=60)) as connection, connection:
            yield connection

    def check(self) -> None:
        """Check all waiting photos with the real model, in this process. The first call loads the model."""
        self._checker.drain()

    @cached_property
    def _checker(self) -> CheckerService:
        names = {name for variable in variables() for name in variable.names}
        environ = {name: value for name, value in self._environ.items() if name in names}
        settings = Settings.from_environment(environ)
        services = build(self._opened.enter_context(shared_or_own_object_store(settings)), checker=True)
        self._opened.callback(services.close)
        assert services.checker is not None
        return services.checker

    def promote_reviewer(self, email: str) -> None:
        self._catloader("user", "promote", email, "--role", "reviewer")

    def promote_administrator(self, email: str) -> None:
        self._catloader("user", "promote", email)

    def _catloader(self, *arguments: str) -> None:
        """Run a command in this process: a new process would take a second or two to import all modules."""
        unset = dict.fromkeys(os.environ.keys() - self._environ.keys())  # settings of whoever runs the tests
        result = CliRunner().invoke(main, arguments, env=self._environ | unset, catch_exceptions=False)
        assert result.exit_code == 0, result.output


def register(page: Page, email: str) -> None:
    """Make an account and open its upload page. The form is posted without being shown: two pages fewer."""
    _post_account(page, "/register", email)
    page.goto("/upload")
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()


def log_in_by_request(page: Page, email: str) -> None:
    """Log in by a request without a page, so that no script runs."""
    _post_account(page, "/login", email)


def _post_account(page: Page, path: str, email: str) -> None:
    form = page.request.get(path).text()
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token, form
    account = {"csrf_token": token[1], "email": email, "password": PASSWORD}
    response = page.request.post(path, form=account, max_redirects=0)
    assert response.status == 303, response.text()


def register_by_form(page: Page, email: str) -> None:
    page.goto("/")
    page.get_by_role("main").get_by_role("link", name="Create account").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()
    page.wait_for_load_state()  # before the scripts run, a click has another effect, such as the file picker


_SUBMIT = """([photo, names, caption, keepDate]) => {
  const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0)), chosen = new DataTransfer();
  for (const [place, name] of names.entries())
    chosen.items.add(new File([place ? "no photo" : bytes], name));
  document.getElementById("photos").files = chosen.files;
  document.getElementById("caption").value = caption;
  document.querySelector("[name=keep_date]").checked = keepDate;
  HTMLFormElement.prototype.submit.call(document.getElementById("upload"));
}"""


def submit_without_scripts(
    page: Page, photo: bytes, names: Sequence[str], *, caption: str = "", keep_date: bool = False
) -> None:
    """Send the upload form without scripts: the photo under the first name, other content under the rest."""
    with page.expect_navigation():
        page.evaluate(_SUBMIT, [b64encode(photo).decode(), list(names), caption, keep_date])


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


_SHARE = """async (names) => {
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const form = make("form", { method: "post", action: "/upload/shared", enctype: "multipart/form-data" });
  const input = make("input", { type: "file", name: "photos" });
  const icon = await (await fetch("/static/icon-192.png")).blob();
  const transfer = new DataTransfer();
  for (const name of names) transfer.items.add(new File([icon], name, { type: "image/png" }));
  input.files = transfer.files;
  form.append(input);
  document.body.append(form);
  form.submit();
}"""


def share(page: Page, names: Sequence[str]) -> None:
    """Post the form that a phone sends when its user shares photos with the site."""
    page.evaluate(_SHARE, names)


def press(page: Page, key: str) -> None:
    """Press a keyboard shortcut of the page once its scripts run: before that, it would have no effect."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def copied(page: Page) -> str:
    """Press the button that copies a link or a secret; return what the clipboard holds afterwards."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("button.copy").click()
    expect(page.locator("button.copy")).to_have_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert isinstance(text, str)
    return text


def width_px(img: Locator) -> int:
    """Return the width of the file behind an image: ``naturalWidth`` is divided by its density."""
    width = img.evaluate(
        "async img => (await createImageBitmap(await (await fetch(img.currentSrc)).blob())).width"
    )
    assert isinstance(width, int)
    return width
