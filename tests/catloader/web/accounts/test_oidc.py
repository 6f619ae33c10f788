"""Log-in through a real OpenID provider on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from joserfc.jwk import OctKey, OKPKey, RSAKey
from sqlalchemy import update
from werkzeug.test import TestResponse

from catloader.demo.client import free_port
from catloader.errors import ProviderUnavailable, SettingError
from catloader.oidc.provider import Provider
from catloader.settings import Settings
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import users
from catloader.web.http import cookies
from tests.support.accounts_site import accounts_site, empty
from tests.support.mail_server import mail_server
from tests.support.mail_server import settings_of as mail_server_settings
from tests.support.provider import CLIENT_SECRET, TestProvider, running_provider, settings_of
from tests.support.signed import aged
from tests.support.site import PASSWORD, Person, services_of

_ANNA = {"sub": "17", "email": "Anna@example.org", "email_verified": True}


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, TestProvider]]:
    port = free_port()
    folder = tmp_path_factory.mktemp("site")
    with running_provider(port) as provider, accounts_site(folder, **settings_of(port)) as app:
        yield app, provider


@pytest.fixture
def app(_site: tuple[Flask, TestProvider]) -> Flask:
    empty(_site[0])
    return _site[0]


@pytest.fixture
def provider(_site: tuple[Flask, TestProvider]) -> TestProvider:
    _site[1].reset()
    _site[1].person = dict(_ANNA)
    return _site[1]


def _at_provider(person: Person, query: str = "") -> str:
    """Log in at the provider; return the path to which it redirects the browser."""
    begun = person.get(f"/login/oidc{query}")
    assert begun.status_code == 303, begun.text
    answer = requests.get(begun.headers["Location"], allow_redirects=False, timeout=60)
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def _query_to_link(person: Person) -> str:
    """Return the query of the account page's link to the provider."""
    found = re.search(r'href="/login/oidc([?]link=[^"]+)"', person.get("/account").text)
    assert found
    return found[1]


def _through(person: Person, query: str = "") -> TestResponse:
    return person.get(_at_provider(person, query))


def _is_logged_in(person: Person) -> bool:
    return person.get("/account").status_code == 200


def _confirm(app: Flask, person: Person) -> None:
    with writing(services_of(app).engine) as connection:
        connection.execute(update(users).where(users.c.id == person.id).values(email_confirmed_at=utcnow()))


def test_a_new_person_gets_an_account_and_finds_it_again(
    app: Flask, provider: TestProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    anna = Person(app)
    assert "Log in through Example ID" in anna.get("/login").text
    back = _at_provider(anna, "?next=/album")
    assert anna.get(back).location == "/album"
    assert "anna@example.org" in anna.get("/account").text
    provider.person["email"] = "another@example.org"  # the subject identifies the account from now on
    again = Person(app)
    assert _through(again).location == "/photos"
    assert "anna@example.org" in again.get("/account").text
    assert len(services_of(app).users.all()) == 1
    assert again.get(back).status_code == 400, "the redirect was made for another browser"
    assert CLIENT_SECRET not in caplog.text
    assert re.search(r"code=([^&]+)", back)[1] not in caplog.text  # type: ignore[index]


def test_a_log_in_under_another_address_moves_to_the_public_one(app: Flask, provider: TestProvider) -> None:
    """The provider leads back to the public address, to which browsers send no cookie of another one."""
    inside = Person(app, HTTP_HOST="nas.home:8000")
    moved = inside.get("/login/oidc?next=/album").location
    assert moved == "http://localhost/login/oidc?next=/album&moved=1"
    assert _through(Person(app), f"?{urlsplit(moved).query}").location == "/album"
    # Behind a proxy that does not pass the host on, every address looks like another one.
    at_provider = inside.get("/login/oidc?moved=1").location
    assert urlsplit(at_provider).path == "/authorize"
    assert "nas.home" not in at_provider


@pytest.mark.parametrize(
    "query", ["endpoint=x", "_method=X", "_external=1", "_scheme=ftp", "values=x&_anchor=y"]
)
def test_a_moved_log_in_keeps_only_the_parameters_that_it_uses(app: Flask, query: str) -> None:
    moved = Person(app, HTTP_HOST="nas.home:8000").get(f"/login/oidc?invitation=a&{query}&next=/album")
    assert (moved.status_code, moved.location) == (
        303,
        "http://localhost/login/oidc?next=/album&invitation=a&moved=1",
    )


def test_an_account_is_linked_only_if_both_sides_have_confirmed_the_e_mail(
    app: Flask, provider: TestProvider
) -> None:
    owner = Person(app, "anna@example.org")
    provider.person["email_verified"] = False
    refused = _through(Person(app))
    assert (refused.status_code, "is not verified there" in refused.text) == (403, True)
    provider.person["email_verified"] = "true"  # a string is not a boolean
    assert _through(Person(app)).status_code == 403
    provider.person["email_verified"] = True
    visitor = Person(app)
    refused = _through(visitor)
    assert (refused.status_code, "which is not confirmed" in refused.text) == (403, True)
    assert '<a class="button" href="/login">Log in</a>' in refused.text
    assert not _is_logged_in(visitor)
    _confirm(app, owner)
    assert _through(visitor).status_code == 303
    assert _is_logged_in(visitor)
    assert len(services_of(app).users.all()) == 1


def test_an_e_mail_that_is_not_in_the_token_is_asked_for(app: Flask, provider: TestProvider) -> None:
    """The standard guarantees the address only at the userinfo endpoint."""
    provider.userinfo = {name: provider.person.pop(name) for name in ("email", "email_verified")}
    for lie in ({"sub": "18"}, {"email_verified": False}, {"email": 17}, {"sub": None}):
        provider.userinfo |= {"sub": "17", "email": "anna@example.org", "email_verified": True} | lie
        assert _through(Person(app)).status_code == 403, lie
    assert services_of(app).users.all() == []
    provider.userinfo = {"email": "anna@example.org", "email_verified": True}
    anna = Person(app)
    assert _through(anna).status_code == 303
    assert "anna@example.org" in anna.get("/account").text


@pytest.mark.parametrize("status", [403, 500])
def test_a_failing_userinfo_endpoint_refuses_new_people_only(
    app: Flask, provider: TestProvider, status: int
) -> None:
    assert _through(Person(app)).status_code == 303
    del provider.person["email_verified"]
    provider.userinfo_status = status
    assert _through(Person(app)).status_code == 303, "this person is known by the subject"
    provider.person["sub"] = "18"
    assert _through(Person(app)).status_code == 403


def test_an_address_and_its_confirmation_must_have_the_same_source(
    app: Flask, provider: TestProvider
) -> None:
    """The token confirms an address that it does not name."""
    provider.userinfo = {"email": provider.person.pop("email")}
    assert provider.person["email_verified"]
    assert _through(Person(app)).status_code == 403
    assert services_of(app).users.all() == []


def test_a_userinfo_endpoint_that_is_not_an_address_is_ignored(
    provider: TestProvider, tmp_path: Path
) -> None:
    provider.changed_metadata = {"userinfo_endpoint": "userinfo"}
    with accounts_site(tmp_path, **settings_of(int(provider.issuer.rpartition(":")[2]))) as app:
        assert _through(Person(app)).status_code == 303


def test_a_provider_that_takes_the_secret_only_in_the_body_logs_in(
    provider: TestProvider, tmp_path: Path
) -> None:
    provider.changed_metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    with accounts_site(tmp_path, **settings_of(int(provider.issuer.rpartition(":")[2]))) as app:
        assert _through(Person(app)).status_code == 303


def test_a_provider_without_a_userinfo_endpoint_logs_in(provider: TestProvider, tmp_path: Path) -> None:
    provider.missing_metadata = {"userinfo_endpoint"}
    with accounts_site(tmp_path, **settings_of(int(provider.issuer.rpartition(":")[2]))) as app:
        assert _through(Person(app)).status_code == 303
        provider.person = {"sub": "18", "email": "bo@example.org"}
        assert "is not verified there" in _through(Person(app)).text


def test_a_logged_in_person_can_link_only_their_own_address(app: Flask, provider: TestProvider) -> None:
    eve = Person(app, "eve@example.org")
    assert _through(eve, _query_to_link(eve)).status_code == 403
    anna = Person(app, "anna@example.org")
    assert "Log in through Example ID from now on" in anna.get("/account").text
    assert _through(anna, _query_to_link(anna)).location == "/account"
    assert "You can log in through Example ID" in anna.get("/account").text
    assert _through(eve, _query_to_link(eve)).status_code == 403
    assert _through(Person(app)).status_code == 303
    services_of(app).administration.disable(anna.id, None, utcnow())  # type: ignore[arg-type]
    assert _through(Person(app)).status_code == 403


def test_no_other_site_can_link_the_account_of_a_logged_in_person(app: Flask, provider: TestProvider) -> None:
    anna, eve = Person(app, "anna@example.org"), Person(app, "eve@example.org")
    for query in ("", "?link=", "?link=x", _query_to_link(eve)):
        refused = anna.get(f"/login/oidc{query}")
        assert (refused.status_code, refused.location) == (303, "/account#provider"), query
    visitor = Person(app)
    back = _at_provider(visitor)
    visitor.email = "anna@example.org"
    assert visitor.log_in().status_code == 303
    assert visitor.get(back).status_code == 400, "a log-in became a link"
    back = _at_provider(anna, _query_to_link(anna))
    anna.log_out()
    assert anna.get(back).status_code == 400, "it began with a log-in"
    assert not services_of(app).identities.is_linked(provider.issuer, anna.id)


def test_an_unlinked_account_is_linked_again_by_its_owner_only(app: Flask, provider: TestProvider) -> None:
    anna, elsewhere = Person(app, "anna@example.org"), Person(app)
    assert _through(anna, _query_to_link(anna)).location == "/account"
    assert _through(elsewhere).status_code == 303
    refused = anna.post("/account/provider", {"password": "wrong"}, page="/account")
    assert (refused.status_code, "The password is wrong." in refused.text) == (403, True)
    assert _is_logged_in(elsewhere)
    assert anna.get("/account/provider").location == "/account#provider"
    for _ in range(2):  # the second form comes from another tab
        assert anna.post("/account/provider", {"password": PASSWORD}, page="/account").location == "/account"
    assert "Unlinked from Example ID." in anna.get("/account").text
    assert (_is_logged_in(anna), _is_logged_in(elsewhere)) == (True, False)
    for subject in ("17", "18"):  # the provider has verified the address, and this site has confirmed it
        provider.person["sub"] = subject
        refused = _through(elsewhere)
        assert (refused.status_code, "was unlinked from this log-in" in refused.text) == (403, True)
    assert _through(anna, _query_to_link(anna)).location == "/account"
    assert _through(elsewhere).status_code == 303


def test_owners_are_mailed_when_their_account_is_linked_and_unlinked(
    provider: TestProvider, tmp_path: Path
) -> None:
    settings = settings_of(int(provider.issuer.rpartition(":")[2]))
    with mail_server() as server:
        smtp = mail_server_settings(server.port)
        with accounts_site(tmp_path, **{**smtp, **settings}) as app:
            mails = services_of(app).mails
            assert mails
            mails.outbox.start()
            anna = Person(app, "anna@example.org")
            _confirm(app, anna)
            for _ in range(2):  # only the first log-in links the account
                assert _through(Person(app)).status_code == 303
            anna.post("/account/provider", {"password": PASSWORD}, page="/account")
            server.wait_for(2)
    assert [(to, str(message["Subject"])) for to, message in server.mails] == [
        (anna.email, "Your account was linked with a log-in through another site"),
        (anna.email, "The log-in through another site was removed from your account"),
    ]


def test_the_password_of_an_account_made_through_the_provider_is_set_before_it_is_unlinked(
    app: Flask, provider: TestProvider
) -> None:
    anna = Person(app)
    _through(anna)
    page = anna.get("/account").text  # the sentence is also in the forms for the password and the deletion
    assert page.count("Ask the administrator for a link to set one.") == 3
    assert anna.post("/account/provider", {"password": ""}, page="/account").status_code == 403
    assert _through(Person(app)).status_code == 303


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA"])
def test_a_token_with_an_edwards_curve_signature_logs_in_under_either_name(
    app: Flask, provider: TestProvider, algorithm: str
) -> None:
    """RFC 9864 replaced the name "EdDSA", which most providers still use."""
    key = OKPKey.generate_key("Ed25519", {"kid": "3", "alg": algorithm, "use": "sig"})
    provider.published.append(key)
    provider.key, provider.algorithm, provider.changed_header = key, algorithm, {"kid": "3"}
    assert _through(Person(app)).location == "/photos"
    provider.key = OKPKey.generate_key("Ed25519", {"kid": "3"})
    assert _NOT_CONFIRMED in _through(Person(app)).text


def test_an_unknown_parameter_in_the_header_of_a_token_is_ignored(app: Flask, provider: TestProvider) -> None:
    provider.changed_header = {"org.example.service": "1"}
    assert _through(Person(app)).location == "/photos"
    provider.changed_header = {"crit": ["org.example.service"], "org.example.service": "1"}
    assert _NOT_CONFIRMED in _through(Person(app)).text, "the provider demands that it is understood"


def _wrong_key(provider: TestProvider) -> None:
    provider.key = RSAKey.generate_key(2048, {"kid": "1"})


def _shared_secret(provider: TestProvider) -> None:
    provider.key, provider.algorithm = OctKey.import_key(CLIENT_SECRET * 2), "HS256"


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (_wrong_key, "bad_signature"),
        (_shared_secret, "unsupported_algorithm"),
        (lambda provider: provider.changed_claims.update(nonce="of another log-in"), "another nonce"),
        (lambda provider: provider.changed_claims.update(aud="another site"), "invalid_claim aud"),
        (
            lambda provider: provider.changed_claims.update(iss="https://evil.example.net"),
            "invalid_claim iss",
        ),
        (lambda provider: provider.changed_claims.update(exp=1), "expired_token exp"),
        (lambda provider: provider.changed_claims.update(azp="another site"), "invalid_claim azp"),
    ],
    ids=["signature", "shared-secret", "nonce", "audience", "issuer", "expired", "party"],
)
def test_an_invalid_token_logs_nobody_in_and_the_log_says_why(
    app: Flask, provider: TestProvider, caplog: pytest.LogCaptureFixture, lie: Any, reason: str
) -> None:
    lie(provider)
    anna = Person(app)
    refused = _through(anna)
    assert (refused.status_code, "did not confirm who you are" in refused.text) == (403, True)
    assert services_of(app).users.all() == []
    assert f"A log-in through {provider.issuer} is refused: {reason}" in caplog.messages


_LONE = "\ud800"
_NOT_CONFIRMED = "did not confirm who you are"


@pytest.mark.parametrize("sub", ["", _LONE, "1\0", "1\n", "x" * 256, "x" * 2**20, 17, ["17"], {}, None, True])
def test_a_subject_that_identifies_nobody_is_refused(app: Flask, provider: TestProvider, sub: Any) -> None:
    provider.person["sub"] = sub
    refused = _through(Person(app))
    assert (refused.status_code, _NOT_CONFIRMED in refused.text) == (403, True)
    assert services_of(app).users.all() == []


@pytest.mark.parametrize("sub", ["17", "auth0|17", "علی\u200cرضا", "a\u00a0b", "x" * 255])
def test_a_subject_of_any_script_logs_in(app: Flask, provider: TestProvider, sub: str) -> None:
    provider.person["sub"] = sub
    anna = Person(app)
    assert _through(anna).status_code == 303
    assert _is_logged_in(anna)


@pytest.mark.parametrize(
    "email",
    [
        "",
        f"a{_LONE}@example.org",
        "a\0@example.org",
        "a\n@example.org",
        17,
        1e308,
        ["a@b.org"],
        {"a": 1},
        None,
    ],
)
def test_an_invalid_e_mail_is_refused(app: Flask, provider: TestProvider, email: Any) -> None:
    provider.person["email"] = email
    refused = _through(Person(app))
    assert (refused.status_code, "is not verified there" in refused.text) == (403, True)
    assert services_of(app).users.all() == []


_OF_ANOTHER_KIND = (_LONE, "\0", "x" * 2**20, 10**400, -1, 1.5, ["x"], [_LONE, 1], {"a": 1}, None)


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "nonce"])
def test_required_claims_of_another_kind_log_nobody_in(
    app: Flask, provider: TestProvider, claim: str
) -> None:
    for value in _OF_ANOTHER_KIND:
        if (claim, value) == ("exp", 10**400):
            continue  # a time in the far future, which is valid
        provider.changed_claims[claim] = value
        refused = _through(Person(app))
        assert (refused.status_code, _NOT_CONFIRMED in refused.text) == (403, True), value
    assert services_of(app).users.all() == []


def test_a_token_that_expires_in_the_far_future_logs_in(app: Flask, provider: TestProvider) -> None:
    provider.changed_claims["exp"] = 10**400
    assert _through(Person(app)).status_code == 303


@pytest.mark.parametrize("claim", ["azp", "iat", "nbf", "at_hash", "auth_time"])
def test_other_claims_of_another_kind_cause_no_server_error(
    app: Flask, provider: TestProvider, claim: str
) -> None:
    for value in _OF_ANOTHER_KIND:
        provider.changed_claims[claim] = value
        answer = _through(Person(app))
        assert answer.status_code in (303, 403), (value, answer.status_code)
        if answer.status_code == 403:
            assert _NOT_CONFIRMED in answer.text


def test_an_e_mail_of_any_length_is_refused(app: Flask, provider: TestProvider) -> None:
    for chars in (300, 2**20):
        provider.person["email"] = "x" * chars + "@example.org"
        assert _through(Person(app)).status_code in (400, 403)
    assert services_of(app).users.all() == []


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "exp", "nonce"])
def test_a_missing_claim_logs_nobody_in(app: Flask, provider: TestProvider, claim: str) -> None:
    provider.missing_claims.add(claim)
    refused = _through(Person(app))
    assert (refused.status_code, _NOT_CONFIRMED in refused.text) == (403, True)
    assert services_of(app).users.all() == []


def test_state_and_code_are_valid_once_and_in_one_browser(app: Flask, provider: TestProvider) -> None:
    anna, eve = Person(app), Person(app)
    back = _at_provider(anna)
    _at_provider(eve)
    assert eve.get(back).status_code == 400, "the state of another browser was accepted"
    assert eve.get(back).status_code == 400, "the request without a cookie was accepted"
    code = back.partition("code=")[2].partition("&")[0]
    provider.codes[code]["code_challenge"] = "of another verifier"
    assert anna.get(back).status_code == 403
    assert not _is_logged_in(anna)
    anna.get("/login/oidc")
    cancelled = anna.get(re.sub("code=[^&]+&", "", _at_provider(anna)) + "&error=access_denied")
    assert cancelled.location == "/login"
    assert not _is_logged_in(anna)


def test_a_copied_cookie_is_not_valid_for_a_second_use(app: Flask, provider: TestProvider) -> None:
    anna = Person(app)
    back = _at_provider(anna)
    cookie = anna.client.get_cookie(cookies.PROVIDER)
    assert cookie
    provider.codes.clear()
    codes = []
    for _ in range(2):
        anna.client.set_cookie(cookies.PROVIDER, cookie.value)
        codes.append(anna.get(back).status_code)
    assert codes == [403, 400], "the provider was asked twice"


def test_a_log_in_at_the_provider_is_valid_for_ten_minutes(app: Flask, provider: TestProvider) -> None:
    for age_s, status in ((610, 400), (590, 303)):
        visitor = Person(app)
        back = _at_provider(visitor)
        kept = visitor.client.get_cookie(cookies.PROVIDER)
        assert kept
        visitor.client.set_cookie(cookies.PROVIDER, aged(app, "provider", kept.value, age_s))
        assert visitor.get(back).status_code == status


def test_the_account_pages_link_to_the_provider_is_valid_for_an_hour(
    app: Flask, provider: TestProvider
) -> None:
    anna = Person(app, "anna@example.org")
    link = _query_to_link(anna).removeprefix("?link=")
    for age_s, begins in ((3610, False), (3590, True)):
        query = "?link=" + aged(app, "link with the provider", link, age_s)
        assert (anna.get(f"/login/oidc{query}").location != "/account#provider") == begins


class _Failing(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_a_failing_provider_is_not_asked_again_at_once_and_networks_are_limited(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Failing) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings = settings_of(server.server_port) | {"login_rate": "3 per hour"}
        with accounts_site(tmp_path, **settings) as app:
            paths = ["/login/oidc"] * 3 + ["/login/oidc", "/login/oidc/callback"]
            answers = [Person(app).get(path).status_code for path in paths]
        server.shutdown()
    assert (answers, _Failing.asked) == ([503] * 3 + [429] * 2, 1)


def test_a_provider_without_an_endpoint_is_unavailable_and_the_log_says_why(
    provider: TestProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider.missing_metadata = {"authorization_endpoint"}
    with accounts_site(tmp_path, **settings_of(int(provider.issuer.rpartition(":")[2]))) as app:
        assert Person(app).get("/login/oidc").status_code == 503
    fault = f"The metadata of {provider.issuer} lack 'authorization_endpoint'."
    assert f"Log-ins through the provider fail: {fault}" in caplog.messages


class _Odd(_Failing):
    body = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body.encode())


def test_unreadable_metadata_makes_a_provider_unavailable() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Odd) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        issuer = f"http://127.0.0.1:{server.server_port}"
        endpoints = dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), "http://[")
        for _Odd.body in ("[" * 100_000, json.dumps({"issuer": issuer} | endpoints)):
            provider = Provider(issuer, "client", "secret", "http://site.example/callback", "Example ID")
            with pytest.raises(ProviderUnavailable):
                provider.authorization_url("state", "nonce", "v" * 50)
        server.shutdown()


def test_a_second_factor_is_required_for_provider_log_ins_too(app: Flask, provider: TestProvider) -> None:
    anna = Person(app)
    _through(anna)
    anna.email = "anna@example.org"
    services_of(app).second_factors.set_up(anna.id, "A" * 32, 0, ["0" * 64], utcnow())
    other = Person(app)
    assert _through(other).location.startswith("/login/second-step")
    assert not _is_logged_in(other)


@pytest.mark.parametrize("mode", ["invitation", "closed"])
def test_registration_follows_the_setting(provider: TestProvider, tmp_path: Path, mode: str) -> None:
    port = int(provider.issuer.rpartition(":")[2])
    with accounts_site(tmp_path, registration=mode, **settings_of(port)) as app:
        refused = _through(Person(app))
        assert (refused.status_code, services_of(app).users.all()) == (403, [])
        now = utcnow()
        token = services_of(app).one_time_links.invite(None, now, now + timedelta(days=1))
        invited = _through(Person(app), f"?invitation={token}")
        assert invited.status_code == (303 if mode == "invitation" else 403)
        assert services_of(app).one_time_links.is_invitation(token, utcnow()) == (mode == "closed")


def test_an_unavailable_provider_is_named_and_passwords_still_work(tmp_path: Path) -> None:
    with accounts_site(tmp_path, **settings_of(free_port())) as app:
        anna = Person(app, "anna@example.org")
        anna.log_out()
        answer = anna.get("/login/oidc")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert "Example ID does not answer." in answer.text
        assert anna.log_in().status_code == 303


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(SettingError, match="CATLOADER_OIDC_CLIENT_ID and CATLOADER_PUBLIC_URL must be set"):
        Settings(oidc_issuer="https://id.example.org")
    with pytest.raises(SettingError, match="it must begin with https://"):
        Settings.from_environment({"CATLOADER_OIDC_ISSUER": "http://id.example.org"})
