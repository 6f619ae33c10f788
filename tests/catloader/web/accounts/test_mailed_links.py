"""Links sent by mail, with a real mail server: a new password, and a confirmed address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, select, update

from catloader.demo.client import free_port
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import one_time_links
from checker.values import Verdict
from tests.catloader.web.accounts.test_passkeys import Device, register_device
from tests.catloader.web.accounts.test_second_factor import Phone
from tests.support.accounts_site import accounts_site, empty
from tests.support.mail_server import MailServer, mail_server, settings_of
from tests.support.programs import Program, token_of
from tests.support.rows import add_photos
from tests.support.site import PASSWORD, Person, check, services_of

_NEW = "a completely new one"
_ASK = "/forgotten-password"


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, MailServer]]:
    port = free_port()
    folder = tmp_path_factory.mktemp("site")
    with mail_server(port) as server, accounts_site(folder, **settings_of(port)) as app:
        mails = services_of(app).mails
        assert mails
        mails.outbox.start()
        yield app, server


@pytest.fixture
def app(_site: tuple[Flask, MailServer]) -> Flask:
    empty(_site[0])
    return _site[0]


@pytest.fixture
def engine(app: Flask) -> Engine:
    return services_of(app).engine


@pytest.fixture
def server(_site: tuple[Flask, MailServer]) -> MailServer:
    app, server = _site
    mails, idle = services_of(app).mails, Event()
    assert mails
    mails.outbox.put(idle.set)  # runs after the mails of the previous test
    assert idle.wait(60)
    server.mails.clear()
    return server


@pytest.fixture
def anna(app: Flask, server: MailServer) -> Person:
    anna = Person.sign_up(app, "anna@example.org")
    server.wait_for(1)
    return anna


def _links(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return {row.token_sha256 for row in connection.execute(select(one_time_links))}


def test_a_mailed_link_sets_a_new_password_once_and_confirms_the_address(
    app: Flask, engine: Engine, server: MailServer, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(app, token_of(app, anna))
    stranger = Person(app, HTTP_HOST="evil.example.net")
    caplog.set_level("INFO")
    assert stranger.post(_ASK, {"email": " ANNA@example.org"}).status_code == 200
    (_, (to, text)) = server.wait_for(2)
    link = server.link()
    assert (to, "within 10 minutes" in text, "evil" in text) == ("anna@example.org", True, False)
    token = link.rpartition("/")[2]
    assert len(token) * 6 >= 128
    assert not any(token in digest for digest in _links(engine))
    assert token not in caplog.text
    assert anna.get("/photos").status_code == 200, "the request for a link changed the account"
    assert stranger.post(link, {"password": _NEW}).location == "/login"
    assert anna.get("/photos").status_code == 303
    assert anna.log_in(_NEW).status_code == 303
    assert "(confirmed)" in anna.get("/account").text
    assert stranger.get(link).status_code == 404
    # The address was not confirmed, so a stranger may have created the account.
    assert program.send("GET", "/api/v1/photos").status_code == 401


def test_a_mailed_link_ends_after_ten_minutes_and_with_another_password_or_address(
    app: Flask, engine: Engine, server: MailServer, anna: Person
) -> None:
    stranger = Person(app)

    def asked() -> str:
        count = len(server.mails)
        stranger.post(_ASK, {"email": anna.email})
        server.wait_for(count + 1)
        assert stranger.get(server.link()).status_code == 200
        return server.link()

    link = asked()
    with reading(engine) as connection:
        query = select(one_time_links.c.expires_at).where(one_time_links.c.purpose == "reset")
        left = connection.execute(query).scalar_one() - utcnow()
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    change = {"old_password": PASSWORD, "new_password": _NEW}
    assert anna.post("/account/password", change, page="/account").status_code == 303
    assert stranger.get(link).status_code == 404
    link = asked()
    anna.post("/account/email", {"email": "new@example.org", "password": _NEW}, page="/account")
    assert stranger.get(link).status_code == 404
    with writing(engine) as connection:
        connection.execute(update(one_time_links).values(expires_at=utcnow()))
    assert stranger.get(link).status_code == 404


def test_asking_for_a_link_does_not_reveal_which_e_mails_are_registered(
    app: Flask, server: MailServer, anna: Person
) -> None:
    pages = []
    for email in ("none@example.org", anna.email):
        answer = Person(app).post(_ASK, {"email": email})
        text = re.sub(r"request [0-9a-f]{16}", "", answer.text).replace(email, "X")
        pages.append((answer.status_code, text, sorted(answer.headers.keys())))
    assert pages[0] == pages[1]
    recipients = [to for to, _ in server.wait_for(2)]
    assert recipients == [anna.email] * 2
    assert Person(app).post(_ASK, {"email": "nonsense"}).status_code == 400


def test_mails_to_one_address_are_limited_with_or_without_an_account(app: Flask, anna: Person) -> None:
    for email, codes in ((anna.email, [200, 200, 429]), ("none@example.org", [200, 200, 200, 429])):
        answers = [
            Person(app).post(_ASK, {"email": email}) for _ in codes
        ]  # the sign-up sent Anna's first mail
        assert [answer.status_code for answer in answers] == codes
        assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_new_account_confirms_its_address_in_a_browser_that_is_logged_in(
    app: Flask, server: MailServer, anna: Person
) -> None:
    link, welcome = server.link(), "/upload?welcome=1"
    asked = f"To confirm your address, open the link in the mail to {anna.email}."
    assert asked in anna.get(welcome).text
    assert "(not confirmed)" in anna.get("/account").text
    eve = Person.sign_up(app, "eve@example.org")
    assert [eve.get(link).status_code, Person(app).get(link).status_code] == [404, 303]
    assert eve.post(link, page="/account").status_code == 404
    for _ in range(2):  # viewing the page must not use up the link
        assert anna.email in anna.get(link).text
    assert anna.post(link).status_code == 303
    assert "(confirmed)" in anna.get("/account").text
    assert asked not in anna.get(welcome).text
    assert anna.get(link).location == "/account"
    anna.post("/account/email", {"email": "new@example.org", "password": PASSWORD}, page="/account")
    assert "(not confirmed)" in anna.get("/account").text
    assert [to for to, _ in server.wait_for(4)][-2:] == [anna.email, "new@example.org"]
    assert anna.post("/account/email/confirm", page="/account").status_code == 303
    assert [to for to, _ in server.wait_for(5)][-1] == "new@example.org"
    assert anna.get(server.link(-2)).status_code == 200


def test_owners_are_mailed_about_changes_that_an_attacker_would_make(
    app: Flask, server: MailServer, anna: Person
) -> None:
    def last_of(number: int) -> list[tuple[str, str]]:
        server.wait_for(number)
        return [(to, str(message["Subject"])) for to, message in server.mails][-1:]

    device = Device()
    device.origin, device.host = "https://cats.example.org", "cats.example.org"
    assert register_device(anna, device).status_code == 200  # no mail, because the address is not confirmed
    anna.post(server.link())
    token = {"name": "Phone", "scope": "photos:read", "days": "", "password": PASSWORD}
    anna.post("/account/tokens", token)
    assert last_of(2) == [(anna.email, "An API token was created for your account")]
    device = Device()
    device.origin, device.host = "https://cats.example.org", "cats.example.org"
    assert register_device(anna, device).status_code == 200
    assert last_of(3) == [(anna.email, "A passkey was added to your account")]
    for passkey in services_of(app).passkeys.of_user(anna.id):
        anna.post(f"/account/passkeys/{passkey.id}/remove", page="/account/passkeys")
    last_of(5)
    assert {str(message["Subject"]) for _, message in server.mails[3:]} == {
        "A passkey was removed from your account"
    }
    Phone(anna)
    assert last_of(6) == [(anna.email, "A second factor was added to your account")]
    for _ in range(2):  # the second request has nothing to remove and sends no mail
        anna.post("/account/second-factor/remove", {"password": PASSWORD}, page="/account/second-factor")
    assert last_of(7) == [(anna.email, "The second factor of your account was removed")]
    anna.post("/account/password", {"old_password": PASSWORD, "new_password": _NEW}, page="/account")
    assert last_of(8) == [(anna.email, "The password of your account was changed")]
    assert "https://cats.example.org/forgotten-password" in server.wait_for(8)[-1][1]
    anna.post(_ASK, {"email": anna.email})
    server.wait_for(9)
    Person(app).post(server.link(), {"password": PASSWORD})
    assert last_of(10) == [(anna.email, "The password of your account was changed")]
    administrator = Person(app, "admin@example.org")
    services_of(app).users.grant(administrator.id, "admin")
    services_of(app).second_factors.set_up(anna.id, "A" * 32, 0, ["0" * 64], utcnow())
    page, german = f"/admin/users/{anna.id}", {"Accept-Language": "de"}
    administrator.post(f"{page}/second-factor/remove", None, page, **german)
    assert last_of(11) == [(anna.email, "The second factor of your account was removed")], (
        "the mail is in the language of the administrator, not of the owner"
    )
    services_of(app).users.set_language(anna.id, "de")
    anna.log_in()
    anna.post("/account/email", {"email": "new@example.org", "password": PASSWORD}, page="/account")
    server.wait_for(13)
    subjects = {to: str(message["Subject"]) for to, message in server.mails[-2:]}
    assert set(subjects) == {anna.email, "new@example.org"}
    assert subjects[anna.email] == "Die E-Mail-Adresse deines Kontos wurde geändert"


def test_mails_that_confirm_an_address_are_limited(app: Flask, server: MailServer, anna: Person) -> None:
    answers = [anna.post("/account/email/confirm", page="/account").status_code for _ in range(3)]
    assert answers == [303, 303, 429], "the sign-up sent the first mail"
    assert [to for to, _ in server.wait_for(3)] == [anna.email] * 3


def test_the_page_of_a_link_that_is_used_up_offers_another_one(
    app: Flask, server: MailServer, anna: Person
) -> None:
    confirmation, eve, stranger = server.link(), Person.sign_up(app, "eve@example.org"), Person(app)
    server.wait_for(2)
    page = eve.get(confirmation)
    assert "<h1>Link expired</h1>" in page.text
    assert "belongs to another account" in page.text
    assert "Ask for a new link</button>" in page.text
    assert eve.post("/account/email/confirm", page=confirmation).location == "/account"
    assert server.wait_for(3)[-1][0] == "eve@example.org"
    assert anna.post(confirmation).status_code == 303
    again = anna.get(confirmation)
    assert again.location == "/account", "the link worked, so no other link may be offered"
    assert "anna@example.org is already confirmed." in anna.get("/account").text
    page = stranger.get("/new-password/x")
    assert page.status_code == 404
    assert 'href="/forgotten-password">Ask for a new link</a>' in page.text


def test_a_double_click_on_the_button_that_confirms_shows_no_error(
    app: Flask, server: MailServer, anna: Person
) -> None:
    confirmation, links, clicks = server.link(), services_of(app).one_time_links, [0]
    form = {"csrf_token": anna.token(confirmation)}

    def click(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "FROM sessions" in statement and not clicks[0]:  # the second request has just read the account
            clicks[0] += 1
            assert links.confirm_email(confirmation.rpartition("/")[2], anna.id, utcnow())

    event.listen(services_of(app).engine, "after_cursor_execute", click)
    try:
        second = anna.client.post(confirmation, data=form)
    finally:
        event.remove(services_of(app).engine, "after_cursor_execute", click)
    assert (clicks, second.status_code, second.location) == ([1], 303, "/account")
    assert "anna@example.org is already confirmed." in anna.get("/account").text


def test_a_validity_of_one_minute_is_in_the_singular(tmp_path: Path) -> None:
    port = free_port()
    with (
        mail_server(port) as server,
        accounts_site(tmp_path, mail_link_minutes=1.0, **settings_of(port)) as app,
    ):
        mails = services_of(app).mails
        assert mails
        mails.outbox.start()
        anna = Person.sign_up(app, "anna@example.org")
        assert "within 1 minute," in server.wait_for(1)[0][1]
        page = Person(app).post(_ASK, {"email": anna.email}, **{"Accept-Language": "it"})
        assert "entro 1 minuto." in page.text
        mails.outbox.close()


def test_a_sign_up_with_a_registered_e_mail_is_reported_to_its_owner_only(
    app: Flask, server: MailServer, anna: Person
) -> None:
    Person.sign_up(app, anna.email)
    _, (to, text) = server.wait_for(2)
    assert (to, "You already have an account there" in text) == (anna.email, True)
    assert "/confirm-email/" not in text


def test_an_address_with_a_comma_is_one_recipient(app: Flask, server: MailServer) -> None:
    Person.sign_up(app, "eve,victim@example.org")
    ((to, _),) = server.wait_for(1)
    assert to == '"eve,victim"@example.org'


def test_password_changes_by_link_are_limited_per_network(tmp_path: Path) -> None:
    with accounts_site(tmp_path, login_rate="2 per hour") as app:
        anna, stranger, now = Person.sign_up(app, "anna@example.org"), Person(app), utcnow()
        link = services_of(app).one_time_links.reset(anna.id, None, now, now + timedelta(hours=1))
        answers = [stranger.post(f"/new-password/{link}", {"password": "password12"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0


def test_mails_are_in_the_language_of_the_account(app: Flask, server: MailServer, anna: Person) -> None:
    anna.post("/account/display", {"language": "de"}, page="/account")
    Person(app).post(_ASK, {"email": anna.email}, **{"Accept-Language": "it"})
    _, (_, text) = server.wait_for(2)
    assert "neues Passwort" in text
    assert server.mails[-1][1]["Subject"] == "Neues Passwort"
    assert Person(app).get(server.link()).status_code == 200


def test_a_decision_is_mailed_to_owners_who_chose_that(app: Flask, server: MailServer, anna: Person) -> None:
    services, rita = services_of(app), Person.sign_up(app, "rita@example.org")
    services.users.grant(rita.id, "reviewer")
    server.wait_for(2)

    def decided(owner: Person) -> int:
        (photo,) = add_photos(services.engine, 1, owner_id=owner.id, status="unsure")
        answer = rita.post(f"/review/{photo}/decide", {"verdict": "cat"}, page="/review")
        assert answer.status_code == 303
        return photo

    decided(anna)  # no mail: she did not ask for mails
    anna.post("/account/notices", {"wanted": "on"}, page="/account")
    decided(anna)  # no mail: her address is not confirmed
    assert anna.post(server.link(0)).status_code == 303
    assert "checked" in anna.get("/account").text
    decided(rita)  # no mail: the reviewer owns the photo
    photo = decided(anna)
    assert server.wait_for(3)[-1][0] == anna.email
    assert f"https://cats.example.org/photos/{photo}" in server.wait_for(3)[-1][1]
    last = [decided(anna) for _ in range(5)]
    assert services.mails
    assert services.mails.collected == {anna.id: last[2:]}, (
        "more than three mails in 15 minutes, instead of one for all further decisions"
    )
    services.mails.collected.clear()  # for the next test
    anna.post("/account/notices", page="/account")
    decided(anna)
    Person(app).post(_ASK, {"email": anna.email})  # its mail follows all mails about decisions
    mails = server.wait_for(6)
    assert ["/photos/" in text for _, text in mails[2:]] == [True, True, True, False]


def test_a_photo_that_is_taken_out_of_the_album_is_mailed_to_its_owner(
    app: Flask, server: MailServer, anna: Person
) -> None:
    services, rita = services_of(app), Person.sign_up(app, "rita@example.org")
    services.users.grant(rita.id, "reviewer")
    server.wait_for(2)
    anna.post("/account/notices", {"wanted": "on"}, page="/account")
    assert anna.post(server.link(0)).status_code == 303
    (photo,) = add_photos(services.engine, 1, owner_id=anna.id, status="cat", on_air=True)
    rita.post(f"/review/{photo}/take-down", {"note": "It shows a person."}, page=f"/album/{photo}")
    to, text = server.wait_for(3)[-1]
    assert (to, f"https://cats.example.org/photos/{photo}" in text) == (anna.email, True)


def test_decisions_after_many_mails_are_sent_in_one_mail(
    app: Flask, server: MailServer, anna: Person
) -> None:
    anna.post("/account/notices", {"wanted": "on"}, page="/account")
    anna.post(server.link(0))
    mails = services_of(app).mails
    assert mails
    for photo in (7, 8, 8):
        mails.reviewed(anna.id, photo, after_s=0.3)
    together = server.wait_for(2)[1][1]
    assert "several photos" in together
    assert re.findall(r"https://cats.example.org/photos/(\d)\s", together) == ["7", "8"]
    mails.reviewed(anna.id, 9)
    assert "https://cats.example.org/photos/9" in server.wait_for(3)[2][1]


def test_a_decision_is_mailed_in_the_language_in_which_its_owner_asked_for_mails(
    app: Flask, server: MailServer, anna: Person
) -> None:
    services, rita = services_of(app), Person.sign_up(app, "rita@example.org")
    services.users.grant(rita.id, "reviewer")
    anna.post(server.link(0))
    german = {"Accept-Language": "de"}
    anna.post("/account/notices", {"wanted": "on"}, page="/account", **german)
    (photo,) = add_photos(services.engine, 1, owner_id=anna.id, status="unsure")
    rita.post(f"/review/{photo}/decide", {"verdict": "cat"}, page="/review")
    assert "Ein Nachprüfer hat über ein Foto von dir" in server.wait_for(3)[-1][1]
    services.users.set_language(anna.id, "it")
    anna.post("/account/notices", {"wanted": "on"}, page="/account", **german)
    assert '<option value="it" lang="it" selected>' in anna.get("/account").text, "chosen by its owner"


def test_decisions_of_an_audit_are_mailed(app: Flask, server: MailServer, anna: Person) -> None:
    services, rita = services_of(app), Person.sign_up(app, "rita@example.org")
    services.users.grant(rita.id, "reviewer")
    server.wait_for(2)
    anna.post("/account/notices", {"wanted": "on"}, page="/account")
    anna.post(server.link(0))
    add_photos(services.engine, 2, owner_id=anna.id)
    ids = [check(app, Verdict.CAT) for _ in range(2)]
    rita.post("/review/audit/draw", {"number": "2", "verdict": "cat"}, page="/review/audit")
    for id, answer in zip(ids, ("cant_tell", "not_cat"), strict=True):
        rita.post(f"/review/audit/{id}", {"answer": answer}, page="/review/audit")
    Person(app).post(_ASK, {"email": anna.email})  # its mail follows all mails about decisions
    decided, last = (text for _, text in server.wait_for(4)[2:])
    assert f"/photos/{ids[1]}" in decided
    assert "/photos/" not in last


def test_without_a_mail_server_pages_of_mailed_links_do_not_exist(tmp_path: Path) -> None:
    with accounts_site(tmp_path) as app:
        anna, stranger = Person.sign_up(app, "anna@example.org"), Person(app)
        assert stranger.get(_ASK).status_code == 404
        assert stranger.post(_ASK, {"email": anna.email}, page="/login").status_code == 404
        assert anna.post("/account/email/confirm", page="/account").status_code == 404
        assert "Ask the administrator for a new one." in stranger.get("/new-password/x").text
        assert "Ask for a new link" not in anna.get("/confirm-email/x").text
        assert "administrator of this site can give you a link" in stranger.get("/login").text
        assert "confirmed" not in anna.get("/account").text
