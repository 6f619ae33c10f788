"""The account page: its sessions, change of e-mail and export."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.values import Verdict
from tests.support.object_stores import delete_object
from tests.support.refusing_store import refusing_store
from tests.support.site import PASSWORD, Person, check, jpeg, running_site, services_of

_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_PHONE = (
    "Mozilla/5.0 (Linux; Android 14; <b>Pixel</b>) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0 Mobile Safari/537.36"
)


@pytest.fixture
def anna(app: Flask) -> Person:
    return Person(app, "anna@example.org", HTTP_USER_AGENT=_FIREFOX)


def _second_browser(anna: Person) -> Person:
    phone = Person(anna.app, HTTP_USER_AGENT=_PHONE)
    phone.email = anna.email
    assert phone.log_in().status_code == 303
    return phone


def _sessions(person: Person) -> dict[str, str]:
    """Return the sessions on the page: browser -> value of the button that ends the session."""
    found = re.findall(
        r'<strong>([^<]+)</strong>.*?name="session" value="([^"]+)"', person.get("/account").text, re.DOTALL
    )
    return dict(found)


def test_each_session_is_listed_and_logged_out_from_another(app: Flask, anna: Person) -> None:
    phone = _second_browser(anna)
    eve = Person(app, "eve@example.org")
    sessions = _sessions(anna)
    assert set(sessions) == {"Firefox on Linux", "Chrome on Android"}
    assert "Pixel" not in anna.get("/account").text
    foreign = next(iter(_sessions(eve).values()))
    anna.post("/account/sessions/end", {"session": foreign}, page="/account")
    assert eve.get("/photos").status_code == 200
    anna.post("/account/sessions/end", {"session": sessions["Chrome on Android"]}, page="/account")
    assert [person.get("/photos").status_code for person in (anna, phone)] == [200, 303]
    anna.post("/account/sessions/end", {"session": sessions["Firefox on Linux"]}, page="/account")
    assert anna.get("/photos").status_code == 303


def test_log_out_everywhere_ends_all_sessions_of_the_account(app: Flask, anna: Person) -> None:
    phone, eve = _second_browser(anna), Person(app, "eve@example.org")
    assert phone.post("/account/sessions/end", page="/account").location == "/"
    assert [person.get("/photos").status_code for person in (anna, phone, eve)] == [303, 303, 200]
    assert anna.log_in().status_code == 303


def test_a_change_of_e_mail_needs_the_password_and_an_unused_address(app: Flask, anna: Person) -> None:
    Person(app, "eve@example.org")
    for fields, status, sentence in (
        ({"email": "new@example.org", "password": "wrong one"}, 403, "The password is wrong."),
        (
            {"email": "nonsense", "password": PASSWORD},
            400,
            "That does not look like an e\N{NON-BREAKING HYPHEN}mail address.",
        ),
        (
            {"email": "EVE@example.org ", "password": PASSWORD},
            409,
            "This e\N{NON-BREAKING HYPHEN}mail can&#39;t be used.",
        ),
        (
            {"email": "Anna@Example.org", "password": PASSWORD},
            400,
            "This is already the e\N{NON-BREAKING HYPHEN}mail of your account.",
        ),
    ):
        answer = anna.post("/account/email", fields, page="/account")
        assert (answer.status_code, sentence in answer.text) == (status, True), fields
        assert f'value="{fields["email"]}"' in answer.text
    done = anna.post("/account/email", {"email": "New@Example.org", "password": PASSWORD}, page="/account")
    assert done.status_code == 303
    assert "new@example.org" in anna.get("/account").text
    anna.log_out()
    assert anna.log_in().status_code == 401
    anna.email = "new@example.org"
    assert anna.log_in().status_code == 303


@pytest.mark.parametrize(
    ("form", "fields", "focused"),
    [
        ("email", {"email": "nonsense", "password": PASSWORD}, "new_email"),
        ("email", {"email": "new@example.org", "password": "wrong one"}, "email_password"),
        ("password", {"old_password": "wrong one", "new_password": "a completely new one"}, "old_password"),
        ("password", {"old_password": PASSWORD, "new_password": "short"}, "new_password"),
        ("delete", {"password": "wrong one"}, "delete_password"),
    ],
)
def test_a_refused_form_has_the_focus_and_its_address_leads_back(
    anna: Person, form: str, fields: dict[str, str], focused: str
) -> None:
    path = f"/account/{form}"
    page = anna.post(path, fields, page="/account").text
    (field,) = [tag for tag in re.findall("<input[^>]*>", page) if " autofocus" in tag]
    assert f'id="{focused}"' in field
    assert f'id="{form}"' in page
    assert anna.get(path).location == f"/account#{form}"


def test_attempts_to_find_registered_e_mails_are_limited_like_sign_ups(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, register_rate="3 per hour") as app:
        anna = Person.sign_up(app, "anna@example.org")
        wishes = [{"email": f"new-{number}@example.org", "password": PASSWORD} for number in range(3)]
        codes = [anna.post("/account/email", wish, page="/account").status_code for wish in wishes]
        assert codes == [303, 303, 429]  # the sign-up was the first of three allowed attempts


def test_the_export_contains_every_photo_and_its_verdicts(app: Flask, anna: Person) -> None:
    cat, lost, waiting = anna.upload_one(caption="Zoë / ../x"), anna.upload_one(), anna.upload_one()
    check(app, Verdict.CAT, turned_deg=180)
    check(app, Verdict.NOT_CAT)
    eve = Person(app, "eve@example.org")
    foreign = eve.upload_one()
    keys = {photo.id: photo.photo_key for photo in anna.photos}
    delete_object(services_of(app).objects, ObjectKind.PHOTO, keys[lost])
    with anna.get("/account/export") as answer:
        content = answer.data
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert re.fullmatch(
        r'attachment; filename="catloader-[0-9-]+\.zip"', answer.headers["Content-Disposition"]
    )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = [f"photos/{cat}.jpg", f"photos/{waiting}.jpg", "verdicts.json"]
        assert archive.namelist() == names
        assert archive.read(names[0]) == anna.get(f"/photos/{cat}/photo.jpg").data
        exported = json.loads(archive.read("verdicts.json"))
    assert exported["email"] == anna.email
    rows = {row["id"]: row for row in exported["photos"]}
    assert foreign not in rows
    assert [rows[id]["file"] for id in (cat, lost, waiting)] == [names[0], None, names[1]]
    assert [rows[id]["status"] for id in (cat, lost, waiting)] == ["cat", "not_cat", "pending"]
    assert rows[cat]["caption"] == "Zoë / ../x"
    (check_of_cat,) = rows[cat]["checks"]
    assert check_of_cat["verdict"] == "cat"
    assert {"reason", "cat_at", "not_cat_below"} <= check_of_cat.keys()
    assert check_of_cat["turned_deg"] == 180


def test_the_export_contains_all_checks_appeals_and_decisions(app: Flask, anna: Person) -> None:
    services, rita = services_of(app), Person(app, "rita@example.org")
    photo = anna.upload_one()
    check(app, Verdict.NOT_CAT)
    assert services.reviews.appeal(photo, anna.id, "cat", "It is Mia.", utcnow())
    assert services.reviews.decide(photo, rita.id, "cat", "So it is.", utcnow())
    assert services.reviews.undo(rita.id, utcnow()) == photo
    assert services.reviews.withdraw(photo, anna.id, utcnow())
    assert services.rechecks.requeue_own([photo], anna.id) == 1
    check(app, Verdict.CAT)
    with anna.get("/account/export") as answer, zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        (row,) = json.loads(archive.read("verdicts.json"))["photos"]
    assert [made["verdict"] for made in row["checks"]] == ["cat", "not_cat"]
    assert [(made["verdict"], made["note"]) for made in row["decisions"]] == [
        ("cat", "So it is."),
        (None, ""),
    ]
    (appeal,) = row["appeals"]
    assert (appeal["wish"], appeal["reason"]) == ("cat", "It is Mia.")
    times = [appeal["opened_at"], *(made["made_at"] for made in row["decisions"]), appeal["closed_at"]]
    assert times == sorted(times)


@pytest.mark.parametrize("year", [1970, 2150])
def test_photos_of_a_wrong_clock_are_exported(app: Flask, anna: Person, engine: Engine, year: int) -> None:
    """Small machines without a clock of their own start in 1970, which a zip file can't express."""
    id = anna.upload_one()
    with writing(engine) as connection:
        wrong = datetime(year, 1, 1, tzinfo=UTC)
        connection.execute(update(photos).where(photos.c.id == id).values(created_at=wrong))
    with anna.get("/account/export") as answer, zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"photos/{id}.jpg", "verdicts.json"]
        (row,) = json.loads(archive.read("verdicts.json"))["photos"]
    assert row["uploaded_at"].startswith(f"{year}-01-01")


def test_the_export_leaves_out_a_photo_whose_object_was_replaced_by_another_accounts(
    app: Flask, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    good, altered = anna.upload_one(), anna.upload_one()
    eve = Person(app, "eve@example.org")
    eve.upload_one(jpeg((10, 20, 30)))
    objects, keys = services_of(app).objects, {photo.id: photo.photo_key for photo in anna.photos}
    objects.put(ObjectKind.PHOTO, keys[altered], objects.get(ObjectKind.PHOTO, eve.photos[0].photo_key))
    with anna.get("/account/export") as answer, zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.namelist() == [f"photos/{good}.jpg", "verdicts.json"]
        rows = json.loads(archive.read("verdicts.json"))["photos"]
    assert {row["id"]: (row["file"], row["file_is_damaged"]) for row in rows} == {
        good: (f"photos/{good}.jpg", False),
        altered: (None, True),
    }
    assert f"an export lacks photo {altered}: the object store holds other bytes" in caplog.text


def test_the_export_leaves_out_a_photo_whose_object_the_store_refuses(
    engine: Engine, s3_server: EmbeddedS3, tmp_path: Path
) -> None:
    """The file ended early, in every export of the account."""
    with (
        refusing_store(s3_server) as (store, refused),
        running_site(engine, s3_server, store, tmp_path, s3_endpoint_url=store.address) as app,
    ):
        anna = Person(app, "anna@example.org")
        good, archived = anna.upload_one(), anna.upload_one(jpeg((10, 20, 30)))
        refused.update(photo.photo_key for photo in anna.photos if photo.id == archived)
        with anna.get("/account/export") as answer, zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
            assert archive.namelist() == [f"photos/{good}.jpg", "verdicts.json"]


def test_a_refusal_of_the_export_is_shown_as_a_page(app: Flask, anna: Person) -> None:
    """With ``download`` on the link, a browser would save the error page as a file or show nothing."""
    anna.upload_one()
    (link,) = re.findall(r'<a [^>]*href="/account/export"[^>]*>', anna.get("/account").text)
    assert "download" not in link


def test_one_export_at_a_time_and_an_abandoned_one_does_not_block(app: Flask, anna: Person) -> None:
    anna.upload_one()
    eve = Person(app, "eve@example.org")
    eve.upload_one()
    with anna.get("/account/export") as first:
        busy = eve.get("/account/export")
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "60")
        assert first.status_code == 200
    for person in (eve, anna):
        with person.client.head("/account/export") as head:
            assert head.status_code == 200
    with eve.get("/account/export") as again:
        assert again.status_code == 200
    assert Person(app).get("/account/export").status_code == 303


def test_every_page_of_the_account_is_marked_in_the_navigation(app: Flask, anna: Person) -> None:
    paths = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/account") and "GET" in (rule.methods or ()) and not rule.arguments
    ]
    pages = [anna.get(path) for path in paths]
    pages += [anna.post(f"/account/{form}", page="/account") for form in ("email", "password", "delete")]
    shown = [page for page in pages if page.mimetype == "text/html" and page.status_code != 303]
    for page in pages:
        if page not in shown:
            page.close()  # the export of the next test waits for the end of this one
    assert len(shown) >= 8
    for page in shown:
        assert 'aria-current="page">Account<' in page.text, page.request.path
