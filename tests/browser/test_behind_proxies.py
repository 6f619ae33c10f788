"""The examples of docs/proxies.md, run with TLS, with and without a path prefix, in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, expect

from tests.conftest import require
from tests.support.browser import PASSWORD, Site, register_by_form, width_px
from tests.support.proxies import HOST, program, running_proxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"CATLOADER_TRUSTED_PROXIES": 1, "CATLOADER_TRUSTED_HOSTS": HOST}
    with Site(tmp_path_factory.mktemp("site"), **settings).running() as site:
        yield site


@pytest.mark.parametrize("heading", ["nginx", "nginx, below a path", "Caddy", "Caddy, below a path"])
def test_register_upload_and_delete_work_behind_the_proxy(
    browser: Browser, site: Site, photos: Path, tmp_path: Path, heading: str
) -> None:
    prefix = "/cats" if "path" in heading else ""
    name = heading.partition(",")[0].lower()
    require(program(name), f"no {name}: install Debian's package {name}")
    with running_proxy(heading, site.url, tmp_path) as port:
        below = f"https://{HOST}:{port}{prefix}/"
        _walk_through(browser, below, photos, f"{name}{len(prefix)}@example.org")
        _assert_headers(f"https://127.0.0.1:{port}{prefix}", tmp_path / "certificate.pem", prefix)


def test_pieces_become_smaller_behind_a_proxy_with_a_limit_for_bodies(
    browser: Browser, site: Site, photos: Path, tmp_path: Path
) -> None:
    """ModSecurity's recommended limit is 128 kB; nginx's default of 1 MB is the size of a piece."""
    require(program("nginx"), "no nginx: install Debian's package nginx")
    with running_proxy("nginx", site.url, tmp_path, body_limit="128k") as port:
        context = browser.new_context(base_url=f"https://{HOST}:{port}", ignore_https_errors=True)
        page = context.new_page()
        register_by_form(page, "olga@example.org")
        sizes: list[int] = []
        page.on("request", lambda request: sizes.append(len(request.post_data_buffer or b"")))
        page.set_input_files("#photos", [photos / "coffee.png", photos / "chelsea.jpg"])
        page.get_by_role("button", name="Upload 2 photos").click()
        expect(page.locator(".grid .badge")).to_have_count(2)
        assert len([size for size in sizes if size > 128 * 1024]) < 4, "it tried large pieces again and again"
        context.close()


def _walk_through(browser: Browser, below: str, photos: Path, email: str) -> None:
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(below)
    page.get_by_role("main").get_by_role("link", name="Create account").click()
    for label, text in (("E-mail", email), ("Password", PASSWORD)):
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("Welcome! Your account is ready.")).to_be_visible()
    page.set_input_files("#photos", photos / "chelsea.jpg")
    page.get_by_role("button", name="Upload 1 photo").click()
    with page.expect_response(re.compile("/api/photos/status")) as polled:
        expect(page.locator(".grid .badge")).to_have_text("Waiting")
        photo = page.locator(".grid img")
        expect(photo).to_have_js_property("complete", True)
        assert width_px(photo) >= 300
    assert polled.value.ok
    assert {cookie["name"] for cookie in context.cookies()} >= {"__Host-catloader_session"}
    page.get_by_role("link", name="Account").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Log out", exact=True).click()
    page.goto(below + "photos?show=cat")
    expect(page.get_by_text("Please log in first.")).to_be_visible()
    for label, text in (("E-mail", email), ("Password", PASSWORD)):
        page.get_by_label(label).fill(text)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    assert page.url == below + "photos?show=cat"
    assert [url for url in requested if not url.startswith((below, "blob:"))] == []  # previews are blobs
    context.close()


def _assert_headers(url: str, certificate: Path, prefix: str) -> None:
    http = requests.Session()
    http.trust_env = False
    http.verify = str(certificate)
    http.headers.update({"Host": HOST, "X-Forwarded-Prefix": "//evil.example"})
    response = http.get(f"{url}/photos", allow_redirects=False, timeout=60)
    assert response.headers["Location"] == f"{prefix}/login?next=/photos"
    assert response.headers["Strict-Transport-Security"]
    forged = http.get(f"{url}/login", headers={"X-Forwarded-Host": "evil.example"}, timeout=60)
    assert forged.status_code == 200, "the proxy did not overwrite the forged header"
