"""The bin: deleted photos are hidden everywhere, can be restored, and are deleted after some days."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import Engine, event, select, update

from catloader.demo.client import until
from catloader.store.db import steady_clock
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.bin import Bin
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from catloader.web.photos.photo_list import PAGE_PHOTOS
from checker.values import Verdict
from tests.support.rows import add_photos
from tests.support.site import PASSWORD, Person, check, jpeg, services_of

_SIZES = r'srcset="[^"]+" sizes="[^"]+"'


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"bin_days": 30}


def _delete(person: Person, photo: int) -> None:
    assert person.post(f"/photos/{photo}/delete", page=f"/photos/{photo}").status_code == 303


def _act(person: Person, action: str, *ids: int) -> str:
    """Send an action of the bin; return the message on the next page."""
    answer = person.post("/bin", {"photo": list(ids), "action": action}, page="/account")
    return answer.text if answer.status_code == 200 else person.get("/bin").text


def test_a_photo_in_the_bin_is_hidden_everywhere_until_it_is_restored(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(caption="Mia")
    check(app, Verdict.CAT)
    page = f"/photos/{photo}"
    anna.post(f"{page}/publish", page=page)
    link = re.findall(r"http://localhost(/s/[^\"]+)", anna.post(f"{page}/share", page=page).text)[0]
    stranger = Person(app)
    own, public = [page, f"{page}/photo.jpg", f"{page}/thumbnail.jpg"], [f"/album/{photo}", link]
    _delete(anna, photo)
    assert "Photo moved to the bin." in anna.get("/photos").text
    assert [anna.get(path).status_code for path in own] == [404] * 3
    assert [stranger.get(path).status_code for path in [*public, *own[1:]]] == [404] * 4
    for path in ("/photos", "/photos?q=mia", "/photos?show=cat", "/album"):
        assert f"/{photo}" not in anna.get(path).text, path
    assert anna.get(f"/api/photos/status?ids={photo}").json["photos"] == []  # type: ignore[index]
    for act in ("caption", "publish", "share", "check", "appeal", "delete"):
        assert anna.post(f"{page}/{act}", {"wish": "cat"}, page="/account").status_code == 404, act

    assert f'value="{photo}"' in anna.get("/bin").text
    assert anna.get(f"/bin/{photo}/thumbnail.jpg").mimetype == "image/jpeg"
    assert "1 photo restored." in _act(anna, "restore", photo)
    assert [anna.get(path).status_code for path in own] == [200] * 3
    assert [stranger.get(path).status_code for path in public] == [200] * 2


def test_the_message_about_the_bin_has_a_button_that_restores_what_was_moved(anna: Person) -> None:
    kept, first, second = (anna.upload_one() for _ in range(3))
    _delete(anna, first)
    here = "/photos?sort=oldest"
    assert _undo(anna, here) == [first]
    assert "1 photo restored." in anna.get(here).text
    _select_and_delete(anna, [first, second])
    assert _undo(anna, here, first) == [first, second]
    assert [anna.get(f"/photos/{photo}").status_code for photo in (kept, first, second)] == [200] * 3
    assert ">Undo<" not in anna.get("/photos").text  # the message is shown once


def _select_and_delete(person: Person, ids: list[int]) -> None:
    act = {"photo": ids, "action": "confirm-delete", "next": "/photos"}
    assert person.post("/photos/selected", act, page="/account").status_code == 303


def _undo(person: Person, here: str, *restored: int) -> list[int]:
    """Press "Undo" on a page after another tab has ``restored`` photos; return the button's photos."""
    (form,) = re.findall(r'<form method="post" action="/bin">.*?>Undo<', person.get(here).text, re.DOTALL)
    ids = re.findall(r'name="photo" value="(\d+)"', form)
    (back,) = re.findall(r'name="next" value="([^"]+)"', form)
    _act(person, "restore", *restored)
    answer = person.post("/bin", {"photo": ids, "action": "restore", "next": back}, page="/account")
    assert (answer.status_code, answer.location) == (303, here)
    return [int(id) for id in ids]


def test_the_bin_has_thumbnails_for_high_density_screens_like_my_photos(app: Flask, anna: Person) -> None:
    large, small = anna.upload_one(jpeg(size=(900, 900))), anna.upload_one(jpeg(size=(300, 200)))
    before = anna.get("/photos").text
    for photo in (large, small):
        _delete(anna, photo)
    (srcset,), (of_photos,) = (re.findall(_SIZES, page) for page in (anna.get("/bin").text, before))
    assert srcset == of_photos.replace("/photos/", "/bin/")
    sharp = anna.get(f"/bin/{large}/thumbnail-2x.jpg")
    with Image.open(io.BytesIO(sharp.data)) as image:
        assert image.size == (640, 640)
    eve = Person(app, "eve@example.org")
    assert eve.get(f"/bin/{large}/thumbnail-2x.jpg").status_code == 404


def test_photos_are_deleted_after_their_days_and_not_before(app: Flask, engine: Engine, anna: Person) -> None:
    old, young, kept = (anna.upload_one() for _ in range(3))
    for photo in (old, young):
        _delete(anna, photo)
    _deleted_before(engine, old, timedelta(days=30, seconds=5))
    _deleted_before(engine, young, timedelta(days=29, hours=23))
    key = services_of(app).bin.photo(old, anna.id).photo_key  # type: ignore[union-attr]
    assert services_of(app).bin.expire() == 1
    services_of(app).deletion.work_off()
    assert not services_of(app).objects.exists(ObjectKind.PHOTO, key)
    assert services_of(app).bin.count(anna.id) == 1
    assert [photo.id for photo in anna.photos] == [kept]


def test_a_site_with_a_wrong_clock_does_not_empty_the_bin_at_its_start(
    own_app: Flask, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell yet whether 31 days have passed or the clock is wrong."""
    anna, services = Person(own_app, "anna@example.org"), services_of(own_app)
    photo, other = anna.upload_one(), anna.upload_one()
    for id in (photo, other):
        _delete(anna, id)
    assert services.bin.delete([other], anna.id) == 1
    _deleted_before(engine, photo, timedelta(days=31))
    services.deletion.start()
    for _ in until(60, "the first pass did not end"):
        if services.ledger.count() == 0:
            break
    assert services.bin.count(anna.id) == 1
    monkeypatch.setattr(steady_clock, "STEADY_S", 0.0)
    services.deletion.wake()
    for _ in until(60, "the bin was not emptied"):
        if services.bin.count(anna.id) == 0:
            break


def test_photos_are_deleted_immediately_after_a_confirmation(app: Flask, anna: Person) -> None:
    first, second, third, kept = (anna.upload_one() for _ in range(4))
    for photo in (first, second, third):
        _delete(anna, photo)
    assert "Delete 1 photo?" in _act(anna, "delete", first, kept)
    assert services_of(app).bin.count(anna.id) == 3
    assert "1 photo deleted." in _act(anna, "confirm-delete", first, kept)
    assert services_of(app).ledger.count() == 2
    assert "Delete all 2 photos in the bin?" in _act(anna, "empty")
    assert services_of(app).bin.count(anna.id) == 2
    assert "2 photos deleted." in _act(anna, "confirm-empty")
    assert services_of(app).bin.count(anna.id) == 0
    assert [photo.id for photo in anna.photos] == [kept]
    assert "Select at least one photo first." in _act(anna, "restore")


def test_only_the_owner_sees_the_bin(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    _delete(anna, photo)
    eve = Person(app, "eve@example.org")
    assert f'value="{photo}"' not in eve.get("/bin").text
    assert eve.get(f"/bin/{photo}/thumbnail.jpg").status_code == 404
    for action in ("restore", "confirm-delete", "confirm-empty"):
        _act(eve, action, photo)
    assert services_of(app).bin.count(anna.id) == 1


def test_reviewers_do_not_see_photos_in_the_bin(app: Flask, anna: Person) -> None:
    rita = Person(app, "rita@example.org")
    services_of(app).users.grant(rita.id, "reviewer")
    unsure, appealed = anna.upload_one(), anna.upload_one()
    check(app, Verdict.UNSURE)
    check(app, Verdict.CAT)
    anna.post(f"/photos/{appealed}/appeal", {"wish": "not_cat"}, page=f"/photos/{appealed}")
    assert "1 appeal, 1 not sure." in rita.get("/review").text
    for photo in (unsure, appealed):
        _delete(anna, photo)
        assert rita.get(f"/photos/{photo}/photo.jpg").status_code == 404
        decision = rita.post(f"/review/{photo}/decide", {"verdict": "cat"}, page="/account")
        assert decision.status_code == 303
    assert "Nothing is waiting for a review." in rita.get("/review").text
    _act(anna, "restore", unsure, appealed)
    assert "1 appeal, 1 not sure." in rita.get("/review").text


def test_deleting_an_account_deletes_its_bin_at_once(app: Flask, anna: Person) -> None:
    photos = [anna.upload_one(), anna.upload_one()]
    _delete(anna, photos[0])
    anna.post("/account/delete", {"password": PASSWORD}, page="/account")
    assert services_of(app).ledger.count() == 4


def test_pages_of_the_bin_lead_through_all_its_photos(app: Flask, engine: Engine, anna: Person) -> None:
    ids = add_photos(engine, PAGE_PHOTOS + 5, owner_id=anna.id, binned_at=utcnow())
    page = anna.get("/bin").text
    seen = re.findall(r'name="photo" value="(\d+)"', page)
    following = re.findall(r'href="(/bin\?before=[^"]+)"', page)[0]
    seen += re.findall(r'name="photo" value="(\d+)"', anna.get(following).text)
    assert [int(id) for id in seen] == sorted(ids, reverse=True)
    assert f"Bin ({len(ids)})" in anna.get("/photos").text


def _deleted_before(engine: Engine, photo: int, age: timedelta) -> None:
    with writing(engine) as connection:
        connection.execute(update(photos).where(photos.c.id == photo).values(binned_at=utcnow() - age))


def test_altered_thumbnails_of_the_bin_are_not_sent(app: Flask, anna: Person) -> None:
    id, services = anna.upload_one(), services_of(app)
    row = services.photos.by_id(id)
    assert row
    _delete(anna, id)
    for kind, key in ((ObjectKind.PHOTO, row.photo_key), (ObjectKind.THUMBNAIL, row.thumbnail_key)):
        services.objects.put(kind, key, jpeg((9, 9, 9)))
    for name in ("thumbnail.jpg", "thumbnail-2x.jpg"):
        assert anna.get(f"/bin/{id}/{name}").status_code == 502, name


def test_a_photo_that_is_restored_while_the_bin_expires_is_kept(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite runs writing transactions one after another")
    photo, other = add_photos(engine, 2, binned_at=utcnow() - timedelta(days=31))
    bin, store, restored = Bin(engine, days=30), Photos(engine), list[int]()
    with reading(engine) as connection:
        owner = connection.execute(select(photos.c.owner_id).where(photos.c.id == photo)).scalar_one()

    def restore(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("SELECT images.id") and not restored:  # the query for photos that are due
            restored.append(0)
            restored[0] = bin.restore([photo], owner)

    event.listen(engine, "after_cursor_execute", restore)
    try:
        assert bin.expire() == 1
    finally:
        event.remove(engine, "after_cursor_execute", restore)
    assert restored == [1]
    assert store.by_id(photo)
    assert bin.photo(other, owner) is None
