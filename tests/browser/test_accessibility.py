"""axe-core on every page, as wide as a phone and a desk, in the light and the dark theme: no violation.

axe-core comes with the package axe-playwright-python; nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.support.browser import Site, register

_OF_VISITORS = ["/", "/login", "/register", "/album", "/album/1", "/nothing"]
_OF_ADMINISTRATORS = [
    *("/photos", "/photos?q=nothing", "/photos/1", "/photos/2", "/photos/3"),
    *("/upload", "/album", "/album/1", "/bin", "/account", "/nothing"),
    *(
        "/review",
        "/admin",
        "/admin/users",
        "/admin/users/1",
        "/admin/users/2",
        "/admin/audit",
        "/admin/failed",
        "/admin/models",
        "/admin/thresholds",
        "/review/audit",
        "/review/taken-down",
    ),
]
_SIZES = ((390, 844), (1280, 900))
_RULES: dict[Literal["dark", "light"], dict[str, Any]] = {
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"], "resultTypes": ["violations"]},
    "light": {"resultTypes": ["violations"]},
}
"""axe's options in each theme: what does not depend on colours is looked at once."""


@pytest.fixture(scope="module")
def session(browser: Browser, site: Site, photos: Path) -> StorageState:
    """Log in an administrator with a cat in the album, another photo with an appeal, and one in the bin."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    register(page, "bea@example.org")
    context.clear_cookies()
    register(page, "ada@example.org")
    for name in ("chelsea.jpg", "coffee.png"):
        page.goto("/upload")
        page.set_input_files("#photos", photos / name)
        page.get_by_role("button", name="Upload 1 photo").click()
        page.wait_for_url("**/photos")
    site.check()
    page.goto("/upload")
    page.set_input_files("#photos", [photos / "coffee.png", photos / "chelsea.jpg"])
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.get_by_text("Stored. You already had this photo.")).to_have_count(2)
    site.promote_administrator("ada@example.org")
    page.goto("/photos/1")
    with page.expect_navigation():
        page.get_by_role("button", name="Publish").click()
    page.goto("/photos/2")
    page.get_by_label("Reason").fill("My cup.")
    with page.expect_navigation():
        page.get_by_role("button", name="Ask a reviewer").click()
    page.goto("/photos/4")
    page.get_by_text("Delete photo").first.click()
    page.get_by_role("button", name="Delete photo").click()
    expect(page.get_by_text("Photo moved to the bin.")).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


@contextmanager
def _window(
    browser: Browser, site: Site, size: tuple[int, int], state: StorageState | None
) -> Iterator[Page]:
    """Open a window; a request that leaves the site fails the test."""
    foreign: list[str] = []
    context = browser.new_context(
        base_url=site.url,
        storage_state=state,
        color_scheme="light",
        viewport={"width": size[0], "height": size[1]},
        bypass_csp=True,  # axe is put into the page as a script
        reduced_motion="reduce",
    )
    context.on("request", lambda request: foreign.append(request.url) if _leaves(request.url, site) else None)
    yield context.new_page()
    context.close()
    assert foreign == []


def _leaves(url: str, site: Site) -> bool:
    return not url.startswith((site.url, "data:", "blob:"))


def _violations(page: Page, path: str) -> list[str]:
    answer = page.goto(path)
    assert answer
    assert answer.status == (404 if path == "/nothing" else 200), path
    for summary in page.locator("summary").all():
        summary.click()
    return _too_wide(page, path) + _found(page, path)


def _found(page: Page, path: str) -> list[str]:
    problems = []
    for theme, rules in _RULES.items():
        page.emulate_media(color_scheme=theme)
        found = Axe().run(page, options=rules).response["violations"]
        problems += [
            f"{path}, {theme}: {one['id']}: {[node['html'] for node in one['nodes']]}" for one in found
        ]
    return problems


def _too_wide(page: Page, path: str) -> list[str]:
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{path}: {wider} px wider than the window"] if wider > 0 else []


@pytest.mark.parametrize("size", _SIZES, ids=lambda size: str(size[0]))
def test_no_page_has_a_violation(
    browser: Browser, site: Site, session: StorageState, size: tuple[int, int]
) -> None:
    problems: list[str] = []
    for state, paths in ((None, _OF_VISITORS), (session, _OF_ADMINISTRATORS)):
        with _window(browser, site, size, state) as page:
            for path in paths:
                problems += _violations(page, path)
    assert problems == []


@pytest.mark.parametrize("language", ["de", "it"])
def test_the_longer_texts_of_other_languages_fit_on_a_phone(
    browser: Browser, site: Site, session: StorageState, language: str
) -> None:
    problems: list[str] = []
    for state, paths in ((None, _OF_VISITORS), (session, _OF_ADMINISTRATORS)):
        with _window(browser, site, _SIZES[0], state) as page:
            page.set_extra_http_headers({"Accept-Language": language})
            for path in paths:
                page.goto(path)
                assert page.locator("html").get_attribute("lang") == language
                page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
                problems += _too_wide(page, path)
    assert problems == []


def test_a_violation_is_found(browser: Browser, site: Site, session: StorageState) -> None:
    with _window(browser, site, _SIZES[0], session) as page:
        page.goto("/photos")
        page.evaluate("document.querySelector('.grid img').removeAttribute('alt')")
        page.add_style_tag(content="@media (prefers-color-scheme: dark) { h1 { color: #333 } }")
        found = " ".join(_found(page, "/photos"))
    assert re.search("/photos, light: (image-alt|link-name): ", found)
    assert "/photos, dark: color-contrast: " in found
    assert "/photos, light: color-contrast: " not in found
