"""Chromium, a site, and photos to upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect
from skimage import data

from scripts.chromium import MISSING, chromium, program
from tests.conftest import require
from tests.support.accessibility import is_local
from tests.support.browser import Site
from tests.support.proxies import HOST

_CAMERAS = ("--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream")
_START_S = 60
expect.set_options(timeout=60_000)  # ms; a machine that also runs other tests is slow


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site of all files that need no special settings. Each test registers its own users."""
    with Site(tmp_path_factory.mktemp("site")).running() as site:
        with build_opener(ProxyHandler({})).open(site.url + "/healthz", timeout=_START_S) as answer:
            assert answer.status == 200
        yield site


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    require(program(), MISSING)
    with chromium(*_CAMERAS, f"--host-resolver-rules=MAP {HOST} 127.0.0.1") as browser:
        yield browser


@pytest.fixture(autouse=True)
def _emails_given_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let each test of a shared site register the addresses that it likes."""
    if "site" not in request.fixturenames:
        yield
        return
    with request.getfixturevalue("site").emails_given_back():
        yield


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """Open a new browser window.

    A policy violation, a script error or a request to another host fails the test.
    """
    context = browser.new_context(base_url=site.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    errors: list[str] = []

    def read(message: ConsoleMessage) -> None:
        if "Policy" in message.text:
            errors.append(message.text)

    def follow(request: Request) -> None:
        if not is_local(request.url, site.url):
            errors.append(request.url)

    context.on("request", follow)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", read)
    yield page
    context.close()
    assert not errors


@pytest.fixture(scope="package")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("chelsea.jpg", "coffee.png"):
        Image.fromarray(getattr(data, Path(name).stem)()).save(folder / name)
    (folder / "notes.jpg").write_text("no photo")
    return folder
