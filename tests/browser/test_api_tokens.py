"""API tokens and passkeys in Chromium: create, use, remove; and the API's documentation page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from catloader.client import Client, RequestFailed
from tests.support.browser import PASSWORD, Site, copied, log_in, log_out, register
from tests.support.site import jpeg


def test_a_token_is_made_used_and_revoked(page: Page, site: Site) -> None:
    register(page, "programs@example.org")
    page.goto("/account")
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Name").fill("camera")
    page.get_by_label("upload and delete photos").check()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Create a token").click()
    token = page.locator("code.secret").inner_text()
    assert copied(page) == token
    page.reload()  # must not create a second token
    expect(page.get_by_role("button", name="Revoke camera")).to_have_count(1)
    assert token not in page.content()
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


def test_the_api_page_is_public(page: Page) -> None:
    page.goto("/docs/api")
    expect(page.get_by_role("heading", name="POST /api/v1/check")).to_be_visible()
    page.locator("section").filter(has_text="POST /api/v1/photos").first.get_by_role(
        "link", name="Photo"
    ).first.click()
    expect(page.get_by_role("heading", name="Photo", exact=True)).to_be_in_viewport()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def test_a_passkey_is_made_used_and_removed(browser: Browser, site: Site) -> None:
    # Browsers do not offer passkeys for an IP address.
    context = browser.new_context(base_url=site.url.replace("127.0.0.1", "localhost"))
    page = context.new_page()
    tools = context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    device |= {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
    authenticator = tools.send("WebAuthn.addVirtualAuthenticator", {"options": device})["authenticatorId"]
    register(page, "passkeys@example.org")
    page.goto("/account/passkeys")
    page.get_by_label("Name").fill("My phone")
    page.get_by_label("Your password").fill("wrong password")
    begun: list[str] = []
    page.on("request", lambda request: begun.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Create a passkey").dblclick()
    expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
    assert [url.rpartition("/")[2] for url in begun] == ["options"]
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Create a passkey").click()
    expect(page.get_by_text("The passkey is registered.")).to_be_visible()
    log_out(page)
    page.goto("/login?next=/album")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile(r":\d+/album$"))
    page.goto("/account/passkeys")
    expect(page.get_by_text("Last used")).to_be_visible()
    log_out(page)
    unverified = {"authenticatorId": authenticator, "isUserVerified": False}
    tools.send("WebAuthn.setUserVerified", unverified)
    page.goto("/login")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("No passkey was used.")
    page.reload()
    page.wait_for_load_state()
    page.evaluate("() => { navigator.credentials.get = async () => null; }")  # like an extension's dialog
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("No passkey was used.")
    log_in(page, "passkeys@example.org")
    page.goto("/account/passkeys")
    page.get_by_role("button", name="Remove My phone").click()
    expect(page.get_by_text("The passkey is removed.")).to_be_visible()
    tools.send("WebAuthn.setUserVerified", unverified | {"isUserVerified": True})
    log_out(page)
    page.goto("/login")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_have_text(
        "This passkey is not known here, or its answer came too late."
    )
    context.close()
