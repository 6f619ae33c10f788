"""Register, upload, watch and delete in a browser with another engine than Chromium's: Firefox."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.browser import PASSWORD, Site
from tests.support.firefox import firefox

_NAMES = ("firefox-esr", "firefox")


def test_register_upload_watch_delete(site: Site, photos: Path, tmp_path: Path) -> None:
    program = os.environ.get("CATLOADER_TEST_FIREFOX") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:  # also in CI, which installs Chromium only: Firefox takes minutes to install
        pytest.skip("no Firefox: install Debian's firefox-esr, or set CATLOADER_TEST_FIREFOX")
    with firefox(program, tmp_path / "profile") as browser:
        browser.open(f"{site.url}/register")
        browser.type("//input[@id='email']", "fritz@example.org")
        browser.type("//input[@id='password']", PASSWORD)
        browser.click("//main//button[contains(., 'Create account')]")
        browser.find("//h1[contains(., 'Upload photos')]")
        browser.choose_file("photos", photos / "chelsea.jpg")
        browser.click("//button[contains(., 'Upload 1 photo')]")
        browser.find("//*[contains(@class, 'badge')][. = 'Waiting']")
        site.check()
        browser.find("//*[contains(@class, 'badge')][starts-with(., 'Cat')]")
        browser.click("//ul[contains(@class, 'grid')]//a")
        browser.find("//*[self::h1 or self::h2][. = 'This photo shows a cat.']")
        browser.open(f"{site.url}/account")
        browser.type("//input[@id='delete_password']", PASSWORD)
        browser.click("//button[contains(., 'Delete my account')]")
        browser.find("//h1[contains(., 'Your account and photos were deleted.')]")
        browser.open(f"{site.url}/photos")
        assert "/login" in browser.url
