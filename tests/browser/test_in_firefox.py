"""One scenario for each role in Firefox, whose engine differs from Chromium's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import PASSWORD, Site
from tests.support.firefox import Firefox, firefox

_NAMES = ("firefox-esr", "firefox")
_ALBUM_CAT = "//main//a[.//*[contains(@class, 'caption')] = 'Fritz']"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A separate site, so that its album and its list of appeals contain photos of these tests only."""
    with Site(tmp_path_factory.mktemp("site")).running() as site:
        yield site


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = os.environ.get("CATLOADER_TEST_FIREFOX") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:  # skipped even in CI: .ci/run installs Firefox, but not every system has a package
        pytest.skip("no Firefox: install Debian's firefox-esr, or set CATLOADER_TEST_FIREFOX")
    with firefox(program, tmp_path_factory.mktemp("firefox") / "profile") as window:
        yield window


@pytest.fixture
def visitor(window: Firefox, site: Site) -> Iterator[Firefox]:
    """A browser without cookies. A page that loads a file from another host fails the test."""
    window.open(site.url)
    window.delete_cookies()
    yield window
    assert {address for address in window.loaded if not address.startswith(site.url)} == set()


def test_a_user_uploads_publishes_and_deletes(visitor: Firefox, site: Site, photos: Path) -> None:
    _register(visitor, site, "fritz@example.org")
    _upload(visitor, photos / "chelsea.jpg", "Fritz")
    site.check()
    visitor.find("//*[contains(@class, 'badge')][starts-with(., 'Cat')]")
    visitor.click("//ul[contains(@class, 'grid')]//a")
    visitor.find("//*[self::h1 or self::h2][. = 'This photo shows a cat.']")
    visitor.click("//button[. = 'Publish']")
    visitor.find("//button[. = 'Make private']")
    _log_out(visitor, site)
    visitor.open(f"{site.url}/album")  # without being logged in
    visitor.click(_ALBUM_CAT)
    visitor.find("//main//img[@alt = 'Fritz']")
    visitor.open(f"{site.url}/login")
    visitor.type("//input[@id='email']", "fritz@example.org")
    visitor.type("//input[@id='password']", PASSWORD)
    visitor.click("//main//button[. = 'Log in']")
    visitor.find("//h1[. = 'My photos']")
    visitor.open(f"{site.url}/account")
    visitor.type("//input[@id='delete_password']", PASSWORD)
    visitor.click("//button[contains(., 'Delete my account')]")
    visitor.find("//h1[contains(., 'Your account and photos were deleted.')]")
    visitor.open(f"{site.url}/photos")
    assert "/login" in visitor.url


def test_a_reviewer_decides_by_keyboard(visitor: Firefox, site: Site, photos: Path) -> None:
    _register(visitor, site, "olga@example.org")
    _upload(visitor, photos / "coffee.png", "My cup")
    site.check()
    visitor.click("//ul[contains(@class, 'grid')]//a")
    visitor.type("//input[@id='reason']", "It is my cat.")
    visitor.click("//button[. = 'Ask a reviewer']")
    visitor.find("//*[contains(., 'Thank you. A reviewer will look at this photo.')]")
    appealed = visitor.url
    site.promote_reviewer("olga@example.org")
    visitor.open(f"{site.url}/photos")
    visitor.click("//nav//a[. = 'Review']")
    visitor.find("//q[. = 'It is my cat.']")
    visitor.press("m")
    visitor.type("//textarea[@id='note']", "A cup of coffee")
    visitor.press("\ue00c")  # Escape leaves the note
    visitor.press("n")
    visitor.find("//*[. = 'Nothing is waiting for a review.']")
    visitor.press("u")
    visitor.find("//*[. = 'Your last decision was undone.']")
    visitor.press("n")
    visitor.find("//*[. = 'Nothing is waiting for a review.']")
    visitor.open(appealed)
    visitor.find("//h1[. = 'A reviewer decided: this photo shows no cat.']")


def test_an_administrator_pauses_checks_and_appoints_a_reviewer(visitor: Firefox, site: Site) -> None:
    _register(visitor, site, "rita@example.org")
    _log_out(visitor, site)
    _register(visitor, site, "boss@example.org")
    site.promote_administrator("boss@example.org")
    visitor.open(f"{site.url}/photos")
    visitor.click("//nav//a[. = 'Admin']")
    visitor.click("//button[. = 'Pause checking']")
    visitor.find("//*[@role = 'status'][starts-with(normalize-space(), 'Checking has been paused')]")
    visitor.click("//button[. = 'Resume checking']")
    visitor.find("//button[. = 'Pause checking']")
    visitor.click("//nav//a[. = 'Users']")
    visitor.click("//a[. = 'rita@example.org']")
    visitor.click("//select[@id = 'role']/option[@value = 'reviewer']")
    visitor.click("//button[. = 'Save role']")
    visitor.find("//*[@role = 'status'][starts-with(normalize-space(), 'rita@example.org now has the role')]")
    visitor.click("//nav//a[. = 'Audit log']")
    visitor.find("//tr[contains(., 'boss@example.org')][contains(., 'rita@example.org')]")


def _register(visitor: Firefox, site: Site, email: str) -> None:
    visitor.open(f"{site.url}/register")
    visitor.type("//input[@id='email']", email)
    visitor.type("//input[@id='password']", PASSWORD)
    visitor.click("//main//button[contains(., 'Create account')]")
    visitor.find("//h1[contains(., 'Upload photos')]")


def _upload(visitor: Firefox, photo: Path, caption: str) -> None:
    """Upload a photo from the upload page, and wait for My photos."""
    visitor.choose_file("photos", photo)
    visitor.type("//input[contains(@class, 'caption-field')]", caption)
    visitor.click("//button[contains(., 'Upload 1 photo')]")
    visitor.find("//*[contains(@class, 'badge')][. = 'Waiting']")


def _log_out(visitor: Firefox, site: Site) -> None:
    visitor.open(f"{site.url}/account")
    visitor.click("//main//button[. = 'Log out']")
    visitor.find("//*[. = 'You are logged out.']")
