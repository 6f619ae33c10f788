"""Sequences of pages that can only be reached through a form or through a personal link."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pyotp
from playwright.sync_api import Page, expect

from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.engine import make_engine, utcnow
from tests.support.browser import PASSWORD, Site, copied, register, submit_without_scripts
from tests.support.site import jpeg


def pages_of_user(page: Page, site: Site) -> Iterator[tuple[Page, str]]:
    """Yield each page of a user without a role, from the upload to the receipt, and its name."""
    register(page, "cleo@example.org")
    submit_without_scripts(page, jpeg(size=(900, 600)), ["sky.jpg", "notes.jpg"])
    yield page, "results of an upload"
    page.goto("/photos")
    page.locator(".grid a").click()
    page.wait_for_url("**/photos/*")
    page.get_by_role("button", name="Share a link").click()
    page.locator("#link").wait_for()
    link = page.locator("#link").input_value()
    yield page, "a link"
    page.goto(urlsplit(link).path)  # the link begins with the public address
    yield page, "GET /s/<token>"
    page.goto("/photos")
    page.locator(".select").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator(".thumbnails").wait_for()
    yield page, "delete the selected photos"
    page.get_by_role("button", name="Delete 1 photo").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    page.goto("/bin")
    page.get_by_role("button", name="Empty the bin").click()
    page.get_by_text("This can't be undone.").wait_for()
    yield page, "empty the bin"
    links = OneTimeLinks(engine := make_engine(site.database))
    token = links.mailed_confirmation("cleo@example.org", utcnow(), utcnow() + timedelta(minutes=10))
    engine.dispose()
    page.goto(f"/confirm-email/{token}")
    yield page, "GET /confirm-email/<token>"
    page.goto("/confirm-email/x")
    page.get_by_role("button", name="Ask for a new link").wait_for()
    yield page, "an expired confirmation"
    page.goto("/account/second-factor")
    yield page, "GET /account/second-factor"
    page.get_by_label("Code that the app shows").fill(
        pyotp.TOTP(page.locator("code.secret").inner_text()).now()
    )
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Set up the second factor").click()
    page.locator(".recovery-codes").wait_for()
    codes = page.locator(".recovery-codes code").all_inner_texts()
    assert copied(page).split() == codes
    yield page, "recovery codes"
    page.goto("/account")
    with page.expect_navigation():
        page.get_by_role("button", name="Log out", exact=True).first.click()
    page.goto("/login")
    page.get_by_label("E-mail").fill("cleo@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.get_by_label("Code").wait_for()
    yield page, "GET /login/second-step"
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    page.goto("/account")
    page.locator("#delete_password").fill(PASSWORD)
    page.get_by_role("button", name="Delete my account").click()
    page.get_by_text("Your account and photos were deleted.").wait_for()
    yield page, "a receipt"
    page.goto(urlsplit(page.locator("a.secret").inner_text()).path)
    yield page, "GET /deleted/<token>"


def pages_of_administrator(page: Page) -> Iterator[tuple[Page, str]]:
    page.goto("/admin/users/1")
    page.get_by_role("button", name="Create a link").click()
    page.locator("#link").wait_for()
    link = page.locator("#link").input_value()
    yield page, "a link for one use"
    page.goto(urlsplit(link).path)  # the link begins with the public address
    yield page, "GET /new-password/<token>"
