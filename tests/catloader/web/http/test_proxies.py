"""Prefixes and host names behind reverse proxies. The tests send the headers that a proxy would add."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask, request
from sqlalchemy import Engine

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.values import Verdict
from tests.support.databases import ON_SQLITE
from tests.support.site import PASSWORD, Person, check, running_site, services_of

pytestmark = ON_SQLITE


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"trusted_proxies": 1, "trusted_hosts": "cats.example.org, .cats.test"}


def _addresses(page: str) -> list[str]:
    return re.findall(r'(?:href|src|action)="([^"#]+)', page)


@pytest.mark.parametrize("prefix", ["/cats", "/cats/", "/a/b-c_1.2~x"])
def test_below_a_prefix_every_address_and_redirect_has_it(app: Flask, prefix: str) -> None:
    anna = Person(app, "anna@example.org")
    anna.log_out()
    headers, root = {"X-Forwarded-Prefix": prefix}, prefix.rstrip("/")
    to_login = anna.get("/photos?show=cat", **headers)
    assert to_login.location == f"{root}/login?next=/photos?show%3Dcat"
    page = anna.get("/login", **headers).text
    assert all(address.startswith(f"{root}/") for address in _addresses(page))
    for wish in ("/photos?show=cat", f"{root}/photos?show=cat"):
        fields = {"email": anna.email, "password": PASSWORD, "next": wish, "csrf_token": anna.token("/login")}
        answer = anna.client.post("/login", data=fields, headers=headers)
        assert answer.location == f"{root}/photos?show=cat"
        anna.log_out()


@pytest.mark.parametrize("prefix", ["/photos", "/account"])
def test_a_prefix_may_look_like_a_page(app: Flask, prefix: str) -> None:
    visitor, headers = Person(app), {"X-Forwarded-Prefix": prefix}
    visitor.email = Person(app, "anna@example.org").email
    for page in ("/photos/5", "/photos?show=cat", "/account/tokens", "/account"):
        to_login = visitor.get(page, **headers).location
        wish = re.findall(r'name="next" value="([^"]+)"', visitor.get(to_login.removeprefix(prefix)).text)
        fields = {"email": visitor.email, "password": PASSWORD, "next": wish[0]}
        assert visitor.post("/login", fields, **headers).location == prefix + page
        visitor.log_out()
    visitor.log_in()
    visitor.upload_one()
    (here,) = re.findall(r'name="next" value="([^"]+)"', visitor.get("/photos?sort=oldest", **headers).text)
    answer = visitor.post("/photos/selected", {"next": here}, page="/photos", **headers)
    assert answer.location == f"{prefix}/photos?sort=oldest"


@pytest.mark.parametrize(("prefix", "server"), [("", "/"), ("/cats", "/cats")])
def test_programs_find_the_api_below_a_prefix(app: Flask, prefix: str, server: str) -> None:
    person, headers = Person(app), {"X-Forwarded-Prefix": prefix}
    document = person.get("/openapi.json", **headers).json
    assert document is not None
    assert document["servers"] == [{"url": server}]
    assert f"<code>POST {prefix}/api/v1/check</code>" in person.get("/docs/api", **headers).text


def test_links_for_other_people_begin_with_the_public_address(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    """An administrator may use the site through a tunnel, and a user in the network of the site."""
    public = {"public_url": "https://example.org/cats/", "trusted_proxies": 1}
    with running_site(engine, s3_server, objects, tmp_path, **public) as app:
        anna = Person(app, "anna@example.org")
        services_of(app).users.grant(anna.id, "admin")
        other, photo = Person(app, "eve@example.org"), anna.upload_one()
        services_of(app).album.publish([photo], anna.id, public=True)
        check(app, Verdict.CAT)
        for prefix in ("", "/cats"):
            headers: dict[str, Any] = {"X-Forwarded-Prefix": prefix}
            pages = [
                anna.post("/admin/invitations", page="/account", **headers).text,
                anna.post(f"/admin/users/{other.id}/password-link", page="/account", **headers).text,
                anna.post(f"/photos/{photo}/share", page="/account", **headers).text,
                Person(app).get(f"/album/{photo}", **headers).text,
            ]
            links = [re.findall(r'(?:value|content)="(http[^"]+)"', page)[0] for page in pages]
            paths = [r"register\?invitation=\S+", r"new-password/\S+", r"s/\S+", f"album/{photo}"]
            for link, path in zip(links, paths, strict=True):
                assert re.fullmatch(rf"https://example\.org/cats/{path}", link)
        receipt = anna.post("/account/delete", {"password": PASSWORD}, page="/account").text
        assert 'href="https://example.org/cats/deleted/' in receipt


def test_scripts_contain_no_absolute_path(app: Flask) -> None:
    scripts = list(Path(app.static_folder or "").glob("*.js"))
    assert len(scripts) > 3
    for script in scripts:
        assert not re.search(r"""(fetch|open|assign|URL)\((["'][A-Z]+["'], )?["'`]/""", script.read_text()), (
            script
        )


@pytest.mark.parametrize(
    "prefix",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a//b",
        "/..",
        "/a/../b",
        "/a b",
        "/%2F",
        "x",
    ],
)
def test_an_invalid_prefix_is_ignored(app: Flask, prefix: str) -> None:
    anna = Person(app, "anna@example.org")
    answer = anna.get("/upload", **{"X-Forwarded-Prefix": prefix})
    addresses = _addresses(answer.text)
    assert {"/photos", "/account"} <= set(addresses)
    assert all(re.match(r"/\w", address) or address == "/" for address in addresses)
    assert Person(app).get("/photos", **{"X-Forwarded-Prefix": prefix}).location == "/login?next=/photos"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("cats.example.org", 200),
        ("CATS.example.org:8443", 200),
        ("my.cats.test", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("cats.example.org.evil.example", 400),
        ("mycats.test", 400),
    ],
)
def test_the_site_accepts_only_its_own_host_names(app: Flask, host: str, status: int) -> None:
    for headers in ({"Host": host}, {"X-Forwarded-Host": host}):
        for path in ("/login", "/static/site.css"):
            with app.test_client().get(path, headers=headers) as answer:
                assert answer.status_code == status, (path, headers)
    if status == 400:
        assert "CATLOADER_TRUSTED_HOSTS" in app.test_client().get("/login", headers={"Host": host}).text


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fd00::1]:8000", "web-7d9.internal"])
def test_probes_may_use_any_host_name(app: Flask, host: str) -> None:
    visitor = app.test_client()
    # /metrics is 404 because this site has no metrics token.
    expected = {"/livez": 200, "/healthz": 200, "/readyz": 200, "/metrics": 404, "/login": 400}
    answers = {path: visitor.get(path, headers={"Host": host}).status_code for path in expected}
    assert answers == expected


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "wss", "http, https"])
def test_tls_is_detected_in_every_spelling_of_the_header(app: Flask, scheme: str) -> None:
    answer = app.test_client().get("/login", headers={"X-Forwarded-Proto": scheme})
    assert "__Host-catloader_form=" in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in answer.headers


def test_two_proxies_of_which_only_one_sets_the_headers_are_supported(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, trusted_proxies=2) as app:
        visitor = app.test_client()
        for entries in (1, 2, 3):
            headers = {
                f"X-Forwarded-{name}": ", ".join(["/forged"] * (entries - 2) + [value] * min(entries, 2))
                for name, value in (("Proto", "https"), ("Host", "cats.example.org"), ("Prefix", "/cats"))
            }
            answer = visitor.get("/photos", headers=headers)
            assert answer.location == "/cats/login?next=/photos"
            assert "Strict-Transport-Security" in answer.headers
        with visitor:
            visitor.get("/login", headers={"X-Forwarded-For": '198.51.100.7, ", 203.0.113.9, 10.0.0.1'})
            assert request.remote_addr == "203.0.113.9"


def test_without_the_setting_any_host_name_is_accepted(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path) as app:
        assert app.test_client().get("/login", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ".cats.test"])
def test_host_that_cannot_be_a_name_is_refused_in_one_sentence(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, host: str
) -> None:
    with running_site(engine, s3_server, objects, tmp_path) as app:
        for path, accept in (
            ("/login", "text/html"),
            ("/photos", "application/json"),
            ("/api/v1/photos", ""),
        ):
            answer = app.test_client().get(path, headers={"Host": host, "Accept": accept})
            assert answer.status_code == 400
            assert "is not a valid host name" in answer.text


@pytest.mark.parametrize("host", ["cats:70000", "[::1]:70000", "cats:x", "[::1", ":", "a b"])
def test_a_malformed_host_or_port_causes_no_server_error(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, host: str
) -> None:
    with running_site(engine, s3_server, objects, tmp_path) as app:
        visitor = app.test_client()
        for path in ("/login", "/photos", "/register", "/album", "/api/v1/photos", "/openapi.json", "/s/x"):
            answer = visitor.get(path, headers={"Host": host})
            assert answer.status_code < 500, path
            assert host not in answer.headers.get("Location", "")
        assert visitor.post("/login", data={"email": "x"}, headers={"Host": host}).status_code < 500


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/login/", "/cats/login"),
        ("/photos/", "/cats/photos"),
        ("/photos/7/", "/cats/photos/7"),
        ("/album//?older=1-1&x=%C3%A4", "/cats/album?older=1-1&x=%C3%A4"),
        ("/api/v1/photos/", "/cats/api/v1/photos"),
        ("/photos/7/nothing/", None),
        ("/nothing/", None),
        ("/upload/resumable/x/", None),  # not an address for GET
    ],
)
def test_a_slash_at_the_end_leads_to_the_address_without_it(
    app: Flask, path: str, leads_to: str | None
) -> None:
    visitor, headers = Person(app), {"X-Forwarded-Prefix": "/cats"}
    answer = visitor.get(path, **headers)
    assert (answer.status_code, answer.location) == ((308, leads_to) if leads_to else (404, None))
    assert visitor.client.post(path, headers=headers).status_code in (404, 405)


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example/login/", "/%5Cevil.example/login/"])
def test_no_slash_at_the_end_leads_to_another_site(app: Flask, path: str) -> None:
    answer = Person(app).client.get(f"http://cats.example.org{path}")
    assert urlsplit(urljoin("http://cats.example.org/", answer.location or "")).netloc == "cats.example.org"
