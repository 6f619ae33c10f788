"""Pages of administrators: accounts, one-time links, invitations, quotas, and the audit log."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from markupsafe import escape
from sqlalchemy import Engine, event, update

from catloader.store.db.accounts.sessions import insert_session, new_token
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import one_time_links
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.values import Verdict
from tests.catloader.web.staff.conftest import administrator_of
from tests.support.site import PASSWORD, Person, acts_of_staff, check, jpeg, running_site, services_of, shown

_NEW = "a completely new one"


def _link(person: Person, path: str) -> str:
    text = person.post(path, page="/admin/users").text
    found = re.search(r'value="http://localhost(/[^"]+)" readonly', text)
    assert found, text
    return found[1].replace("&amp;", "&")


def test_pages_of_administrators_do_not_exist_for_others(
    app: Flask, administrator: Person, anna: Person
) -> None:
    rita = Person(app, "rita@example.org")
    services_of(app).users.grant(rita.id, "reviewer")
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/admin")]
    assert len(rules) >= 10
    for person in (anna, rita):
        nothing = shown(person.get("/nothing"))
        for rule in rules:
            path = rule.rule.replace(re.search("<[^>]*>|$", rule.rule)[0] or "<>", str(administrator.id))  # type: ignore[index]
            if "GET" in (rule.methods or ()):
                answer = person.get(path)
                assert (answer.status_code, shown(answer)) == (404, nothing), path
            else:
                assert person.post(path, {"role": "user"}, page="/account").status_code == 404, path
        assert 'href="/admin"' not in person.get("/photos").text
    assert Person(app).get("/admin").status_code == 303
    assert 'href="/admin"' in administrator.get("/photos").text
    assert services_of(app).users.by_id(administrator.id).is_admin  # type: ignore[union-attr]
    assert acts_of_staff(app) == []


@pytest.mark.parametrize("language", ["en", "de", "it"])
def test_each_tab_has_the_same_name_as_its_page(administrator: Person, language: str) -> None:
    headers = {"Accept-Language": language}
    tabs = re.findall(
        r'<a class="chip" href="(/admin[^"]*)"[^>]*>([^<]+)</a>',
        shown(administrator.get("/admin", **headers)),
    )
    assert len(tabs) == 7
    for path, name in tabs:
        assert f"<h1>{name}</h1>" in administrator.get(path, **headers).text


def test_accounts_are_listed_with_their_storage_and_found_by_e_mail(
    app: Flask, administrator: Person, anna: Person
) -> None:
    anna.upload_one()
    page = administrator.get("/admin/users").text
    assert re.findall(r'<a href="/admin/users/\d+">([^<]+)', page) == [administrator.email, anna.email]
    assert '<td class="figure" data-label="Photos">1</td>' in page
    for query, found in (("ANN", [anna.email]), ("%", []), ('"><script>', [])):
        page = administrator.get(f"/admin/users?q={quote(query)}").text
        assert re.findall(r'<a href="/admin/users/\d+">([^<]+)', page) == found
        assert f'value="{escape(query)}"' in page
    assert administrator.get("/admin/users/999999").status_code == 404


def test_granting_and_revoking_a_role_is_recorded(app: Flask, administrator: Person, anna: Person) -> None:
    path = f"/admin/users/{anna.id}"
    assert anna.get("/review").status_code == 404
    administrator.post(f"{path}/role", {"role": "reviewer"}, page=path)
    assert anna.get("/review").status_code == 200
    administrator.post(f"{path}/role", {"role": "user"}, page=path)
    assert anna.get("/review").status_code == 404
    sender = f"http://localhost{path}"
    refused = administrator.post(f"{path}/role", {"role": "owner"}, page=path, Referer=sender)
    assert (refused.status_code, f'href="{path}">Back<' in refused.text) == (400, True)
    own = f"/admin/users/{administrator.id}"
    assert administrator.post(f"{own}/role", {"role": "user"}, page="/admin/users").status_code == 400
    assert administrator.post(f"{own}/access", {"access": "disable"}, page="/admin/users").status_code == 400
    recorded = [(entry.actor, entry.act, entry.target) for entry in acts_of_staff(app)]
    assert recorded == [
        (administrator.email, "made user", anna.email),
        (administrator.email, "made reviewer", anna.email),
    ]
    assert "made reviewer" in administrator.get("/admin/audit").text
    assert "No more entries." in administrator.get("/admin/audit?before=1").text
    assert "No more accounts." in administrator.get("/admin/users?after=999999999").text


def test_a_disabled_account_is_logged_out_and_stays_out_until_it_is_enabled(
    app: Flask, administrator: Person, anna: Person
) -> None:
    photo, path = anna.upload_one(), f"/admin/users/{anna.id}"
    assert 'class="card danger"' in administrator.get(path).text
    administrator.post(f"{path}/access", {"access": "disable"}, page=path)
    assert 'class="card danger"' not in administrator.get(path).text  # enabling an account is not dangerous
    assert anna.get("/photos").status_code == 303
    refused = anna.log_in()
    assert (refused.status_code, "This account is disabled." in refused.text) == (403, True)
    assert anna.log_in("not the password").status_code == 401  # others do not learn that it is disabled
    administrator.post(f"{path}/access", {"access": "enable"}, page=path)
    assert anna.log_in().status_code == 303
    assert anna.get(f"/photos/{photo}").status_code == 200
    assert [entry.act for entry in acts_of_staff(app)] == ["enabled", "disabled"]


def test_a_session_of_a_disabled_account_is_not_valid(
    app: Flask, administrator: Person, anna: Person
) -> None:
    services_of(app).administration.disable(anna.id, administrator.id, utcnow())
    token = new_token()
    with writing(services_of(app).engine) as connection:
        insert_session(connection, token, anna.id, utcnow(), "")
    assert services_of(app).sessions.find(token, utcnow()) is None


def test_administrators_cannot_make_a_password_link_for_their_own_account(administrator: Person) -> None:
    path = f"/admin/users/{administrator.id}"
    assert "Create a link" not in administrator.get(path).text
    refused = administrator.post(f"{path}/password-link", page=path)
    assert (refused.status_code, "on the account page" in refused.text) == (400, True)


@pytest.mark.parametrize("value", ["", "on", "Pause", "resume pause"])
def test_an_unknown_value_neither_pauses_checking_nor_disables_an_account(
    app: Flask, administrator: Person, anna: Person, value: str
) -> None:
    for path, field in (("/admin/checking", "checking"), (f"/admin/users/{anna.id}/access", "access")):
        for fields in ({field: value}, {}):
            assert administrator.post(path, fields, page="/admin/users").status_code == 400, path
    assert services_of(app).switches.paused_at() is None
    assert anna.get("/photos").status_code == 200


def test_administrators_cannot_change_their_own_role_access_or_second_factor(
    app: Flask, administrator: Person, anna: Person
) -> None:
    services_of(app).users.grant(
        anna.id, "admin"
    )  # otherwise the refusal could be due to the rule on the last administrator
    path = f"/admin/users/{administrator.id}"
    for act, fields in (("role", {"role": "user"}), ("access", {}), ("second-factor/remove", {})):
        refused = administrator.post(f"{path}/{act}", fields, page=path)
        assert (refused.status_code, "your own role or access" in refused.text) == (400, True), act
    assert administrator.get(path).status_code == 200


def test_a_link_sets_a_new_password_once(
    app: Flask, engine: Engine, administrator: Person, anna: Person
) -> None:
    link = _link(administrator, f"/admin/users/{anna.id}/password-link")
    stranger = Person(app)
    for _ in range(2):  # viewing the page must not use up the link
        assert anna.email in stranger.get(link).text
    weak = stranger.post(link, {"password": "password12"})
    assert (weak.status_code, anna.get("/photos").status_code) == (400, 200)
    assert stranger.client.post(link, data={"password": _NEW}).status_code == 400  # without a form token
    assert stranger.post(link, {"password": _NEW}).location == "/login"
    assert anna.get("/photos").status_code == 303
    assert anna.log_in(PASSWORD).status_code == 401
    assert anna.log_in(_NEW).status_code == 303
    assert stranger.get(link).status_code == 404
    assert stranger.post(link, {"password": PASSWORD}, page="/login").status_code == 404

    first, second = (_link(administrator, f"/admin/users/{anna.id}/password-link") for _ in range(2))
    assert [stranger.get(one).status_code for one in (first, second)] == [404, 200]
    with writing(engine) as connection:
        connection.execute(update(one_time_links).values(expires_at=utcnow() - timedelta(seconds=1)))
    assert stranger.get(second).status_code == 404
    assert stranger.get("/new-password/x").status_code == 404


@pytest.mark.parametrize("act", ["role", "access", "quota", "password-link", "second-factor/remove"])
def test_an_account_that_is_deleted_meanwhile_is_not_found(
    app: Flask, engine: Engine, administrator: Person, anna: Person, act: str
) -> None:
    deleted: list[int] = []

    def delete(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "GROUP BY images.owner_id" in statement and not deleted:  # the request has just read the account
            deleted.append(anna.id)
            services_of(app).users.delete(anna.id)

    event.listen(services_of(app).engine, "after_cursor_execute", delete)
    try:
        path = f"/admin/users/{anna.id}/{act}"
        fields = {"role": "reviewer", "access": "disable"}
        answer = administrator.post(path, fields, page="/account")
    finally:
        event.remove(services_of(app).engine, "after_cursor_execute", delete)
    assert (answer.status_code, "does not exist any more" in answer.text) == (404, True)
    assert [entry.act for entry in acts_of_staff(app)] == []


@pytest.mark.parametrize("mode", ["invitation", "closed"])
def test_accounts_are_created_only_as_the_setting_says(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, mode: str
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, registration=mode) as app:
        users, now = services_of(app).users, utcnow()
        stranger = Person(app)
        fields = {"email": "new@example.org", "password": PASSWORD}
        assert "/register" not in stranger.get("/").text
        assert stranger.get("/register").status_code == 403
        assert stranger.post("/register", fields, page="/login").status_code == 403
        token = services_of(app).one_time_links.invite(None, now, now + timedelta(days=1))
        path = f"/register?invitation={token}"
        if mode == "closed":
            assert stranger.get(path).status_code == 403
            assert (
                stranger.post("/register", {**fields, "invitation": token}, page="/login").status_code == 403
            )
            assert users.all() == []
            return
        assert stranger.get(path).status_code == 200
        weak = stranger.post("/register", {**fields, "invitation": token, "password": "short"}, page=path)
        assert (weak.status_code, f'value="{token}"' in weak.text) == (400, True)
        assert stranger.post("/register", {**fields, "invitation": token}, page=path).status_code == 303
        late = Person(app)
        again = {"email": "late@example.org", "password": PASSWORD, "invitation": token}
        assert late.post("/register", again, page="/login").status_code == 403
        assert [user.email for user in users.all()] == ["new@example.org"]


def test_an_invitation_by_an_administrator_is_shown_once_and_recorded(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path) as app:
        administrator = administrator_of(app)
        link = _link(administrator, "/admin/invitations")
        assert link.startswith("/register?invitation=")
        assert [entry.act for entry in acts_of_staff(app)] == ["invited somebody"]
        assert link.rpartition("=")[2] not in administrator.get("/admin/audit").text


def _account_page(person: Person) -> str:
    return person.get("/account").text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_quota_bounds_photos_and_bytes_even_for_concurrent_uploads(
    app: Flask, administrator: Person, anna: Person
) -> None:
    path = f"/admin/users/{anna.id}"
    assert administrator.post(f"{path}/quota", {"photos": "-1"}, page=path).status_code == 400
    too_many = administrator.post(f"{path}/quota", {"photos": str(2**31)}, page=path)
    assert (too_many.status_code, "at most 2147483647" in too_many.text) == (400, True)
    administrator.post(f"{path}/quota", {"photos": "", "megabytes": "2"}, page=path)
    assert "You use 0\N{NO-BREAK SPACE}kB of 2.0\N{NO-BREAK SPACE}MB." in anna.get("/upload").text
    administrator.post(f"{path}/quota", {"photos": "3", "megabytes": ""}, page=path)
    anna.upload_one()
    assert "You use 1 of 3 photos." in anna.get("/upload").text
    assert "<dd>1 of 3, 1 kB</dd>" in _account_page(anna)
    administrator.post(f"{path}/quota", {"photos": "3", "megabytes": "2"}, page=path)
    assert "<dd>1 of 3, 1 kB of 2.0 MB</dd>" in _account_page(anna)

    browsers = [Person(app) for _ in range(4)]
    for browser in browsers:
        browser.email = anna.email
        browser.log_in()

    def upload(browser: Person) -> int:
        return browser.upload(("a.jpg", jpeg()), Accept="application/json").status_code

    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(upload, browsers))
    assert codes.count(201) <= 2
    while anna.upload(("a.jpg", jpeg()), Accept="application/json").status_code == 201:
        assert len(anna.photos) <= 3
    full = anna.upload(("a.jpg", jpeg()), Accept="application/json")
    assert (full.status_code, len(anna.photos)) == (413, 3)
    assert full.json["files"][0]["error"] == "You have 3 of 3 photos. Delete some and empty the bin."  # type: ignore[index]

    administrator.post(f"{path}/quota", {"photos": "0", "megabytes": "1"}, page=path)
    assert anna.upload(("a.jpg", jpeg())).status_code == 303
    services_of(app).administration.set_quota(anna.id, 0, 3000, administrator.id, utcnow())
    assert anna.upload(("a.jpg", jpeg())).status_code == 413
    assert "set the quota: photos: no limit; storage:" in administrator.get("/admin/audit").text


def test_actions_of_reviewers_are_recorded_too(app: Flask, administrator: Person, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.UNSURE)
    administrator.post(f"/review/{photo}/decide", {"verdict": "cat"}, page="/review")
    administrator.post("/review/undo", page="/review")
    assert [(e.act, e.target) for e in acts_of_staff(app)] == [
        ("undid a decision", f"photo {photo}"),
        ("decided cat", f"photo {photo}"),
    ]
