"""API tokens in Chromium: made, used by a program, revoked; and the page of the API."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from catloader.client import Client, RequestFailed
from tests.support.browser import PASSWORD, Site, register
from tests.support.site import jpeg


def test_a_token_is_made_used_and_revoked(page: Page, site: Site) -> None:
    register(page, "programs@example.org")
    page.goto("/account")
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Name").fill("camera")
    page.get_by_label("upload and delete photos").check()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("code.secret").inner_text()
    client = Client(site.url, token)
    photo = client.upload(jpeg())
    page.goto("/photos")
    expect(page.locator(f'[data-photo="{photo.id}"]').first).to_be_visible()
    page.goto("/account/tokens")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke camera").click()
    expect(page.get_by_text("Token revoked.")).to_be_visible()
    with pytest.raises(RequestFailed, match="unknown, revoked or expired"):
        client.photo(photo.id)
    client.close()


def test_the_page_of_the_api_is_read_without_an_account(page: Page) -> None:
    page.goto("/docs/api")
    expect(page.get_by_role("heading", name="POST /api/v1/check")).to_be_visible()
    page.locator("section").filter(has_text="POST /api/v1/photos").first.get_by_role(
        "link", name="Photo"
    ).first.click()
    expect(page.get_by_role("heading", name="Photo", exact=True)).to_be_in_viewport()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
