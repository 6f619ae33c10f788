"""Two people at one phone: photos that wait in the browser are given to nobody else."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import log_in, register, share

_BRING = """async () => (await import("/static/shared.js")).bring([new File(["bytes"], "dropped.png")])"""
_LEFT = """async () => {
  const shared = await caches.keys(), last = localStorage.getItem("catloader-account");
  return [shared, (await (await import("/static/shared.js")).takeBrought()).length, last];
}"""


def _leave_photos(page: Page, email: str) -> None:
    """Share and drop photos on a phone whose account has just been logged out by the site."""
    register(page, email)
    page.wait_for_function("async () => (await navigator.serviceWorker.getRegistration('/upload/'))?.active")
    page.goto("/photos")
    page.evaluate(_BRING)
    page.context.clear_cookies()
    share(page, ["shared.png"])
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_waiting_photos_are_uploaded_after_the_next_log_in_of_their_account(page: Page) -> None:
    _leave_photos(page, "gesa@example.org")
    log_in(page, "gesa@example.org")
    page.goto("/upload")
    for name in ("shared.png", "dropped.png"):
        expect(page.get_by_title(name, exact=True)).to_be_visible()


def test_waiting_photos_are_deleted_when_another_account_logs_in(page: Page) -> None:
    _leave_photos(page, "hans@example.org")
    register(page, "ida@example.org")
    expect(page.get_by_text("Photos that waited for another account were removed.")).to_be_visible()
    page.wait_for_load_state()
    assert page.locator("#queue li").count() == 0
    (shared, dropped, last) = page.evaluate(_LEFT)
    assert (shared, dropped) == ([], 0)
    assert last == page.locator("body").get_attribute("data-account")


@pytest.mark.parametrize("name", ["Log out", "Log out everywhere"])
def test_a_log_out_deletes_waiting_photos(page: Page, name: str) -> None:
    email = f"jan-{len(name)}@example.org"
    _leave_photos(page, email)
    log_in(page, email)
    page.goto("/account")
    page.wait_for_load_state()
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
    assert page.evaluate(_LEFT) == [[], 0, None]
