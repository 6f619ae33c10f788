"""The public album, likes, and links that share one photo: visitors see only what its owner made public."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import Engine, update

from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import photos, share_links
from catloader.web.photos.photo_list import PAGE_PHOTOS
from checker.values import Verdict
from tests.support.databases import ON_SQLITE
from tests.support.rows import add_photos
from tests.support.site import Person, check, jpeg, services_of, shown

_XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def _publish(owner: Person, photo: int, public: str = "yes") -> None:
    page = f"/photos/{photo}"
    assert owner.post(f"{page}/publish", {"public": public}, page=page).status_code == 303


@pytest.mark.parametrize("public", ["", "false", "0", "off", "NO", "no "])
def test_an_unknown_value_neither_publishes_a_photo_nor_likes_it(
    app: Flask, anna: Person, public: str
) -> None:
    mine, album = anna.upload_one(), anna.upload_one()
    for _ in range(2):
        check(app, Verdict.CAT)
    refused = anna.post(f"/photos/{mine}/publish", {"public": public}, page="/account")
    assert (refused.status_code, "Choose one of the two answers." in refused.text) == (400, True)
    assert Person(app).get(f"/album/{mine}").status_code == 404
    _publish(anna, album)
    assert anna.post(f"/album/{album}/like", {"like": public}, page="/account").status_code == 400
    assert services_of(app).album.likes([album]) == {}


def test_the_album_shows_published_cats_and_nothing_else(app: Flask, anna: Person) -> None:
    verdicts = [Verdict.CAT, Verdict.CAT, Verdict.NOT_CAT, Verdict.UNSURE, Verdict.UNREADABLE]
    ids = [anna.upload_one() for _ in [*verdicts, None]]
    for verdict in verdicts:
        check(app, verdict)
    cat, private_cat, *others = ids
    for photo in (cat, *others):
        _publish(anna, photo)
    stranger, eve = Person(app), Person(app, "eve@example.org")
    for visitor in (stranger, eve):
        assert re.findall(r'href="/album/(\d+)"', visitor.get("/album").text) == [str(cat)]
        for photo in ids:
            status = 200 if photo == cat else 404
            paths = (f"/album/{photo}", f"/photos/{photo}/photo.jpg", f"/photos/{photo}/thumbnail.jpg")
            assert [visitor.get(path).status_code for path in paths] == [status] * 3, photo
    assert shown(stranger.get(f"/album/{private_cat}")) == shown(stranger.get("/album/999999"))
    assert "The public album shows it as soon as the verdict is cat." in anna.get(f"/photos/{ids[-1]}").text

    _publish(anna, cat, "no")
    assert "Nobody has published a photo yet." in stranger.get("/album").text
    assert stranger.get(f"/photos/{cat}/photo.jpg").status_code == 404
    assert anna.get(f"/photos/{cat}/photo.jpg").status_code == 200


@ON_SQLITE
def test_captions_are_shown_as_text_and_not_repeated_by_the_photos(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(caption="On the old sofa")
    check(app, Verdict.CAT)
    _publish(anna, photo)
    for path in ("/album", "/photos"):
        page = anna.get(path).text
        assert page.count(">On the old sofa<") == 1
        (alternative,) = re.findall(r'<img src="/photos/\d+/thumbnail[^>]* alt="([^"]*)"', page)
        assert alternative.startswith("Photo of "), path


def test_a_verdict_that_changes_takes_the_photo_out_of_the_album(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT)
    _publish(anna, photo)
    stranger = Person(app)
    assert stranger.get(f"/album/{photo}").status_code == 200
    anna.post(f"/photos/{photo}/check", page=f"/photos/{photo}")
    assert stranger.get(f"/album/{photo}").status_code == 404  # it waits for its new check
    check(app, Verdict.NOT_CAT)
    assert stranger.get(f"/album/{photo}").status_code == 404


def test_only_the_owner_publishes_and_shares(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT)
    eve = Person(app, "eve@example.org")
    for act in ("publish", "share", "unshare"):
        assert eve.post(f"/photos/{photo}/{act}", page="/account").status_code == 404
    selected = {"photo": photo, "action": "publish"}
    assert eve.post("/photos/selected", selected, page="/account").status_code == 303
    assert services_of(app).photos.by_id(photo).on_air is False  # type: ignore[union-attr]
    assert services_of(app).share_links.made_at(photo) is None


def test_a_selection_is_published_and_made_private(app: Flask, anna: Person) -> None:
    ids = [anna.upload_one() for _ in range(2)]
    for _ in ids:
        check(app, Verdict.CAT)
    anna.post("/photos/selected", {"photo": ids, "action": "publish"}, page="/photos")
    page = anna.get("/photos").text
    assert "2 photos published. The album shows those with a cat." in page
    assert page.count(">Public</span>") == 2
    assert Person(app).get("/album").text.count('<li id="photo-') == 2
    anna.post("/photos/selected", {"photo": ids, "action": "unpublish"}, page="/photos")
    assert "2 photos made private." in anna.get("/photos").text
    assert "<li>" not in Person(app).get("/album").text


def test_social_tags_name_the_photo_by_absolute_addresses(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(jpeg(size=(96, 64)), caption=f"Mia {_XSS}")
    check(app, Verdict.CAT)
    _publish(anna, photo)
    page = Person(app).get(f"/album/{photo}").text
    tags = dict(re.findall(r'<meta property="(og:[^"]+)" content="([^"]*)">', page))
    assert tags["og:image"] == f"http://localhost/photos/{photo}/photo.jpg"
    assert tags["og:url"] == f"http://localhost/album/{photo}"
    assert (tags["og:image:width"], tags["og:image:height"]) == ("96", "64")
    assert tags["og:title"].startswith("Mia &lt;script&gt;")
    assert "<script>alert" not in page
    assert "anna@" not in page


def test_each_person_likes_a_photo_once(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT)
    page = f"/album/{photo}"
    eve = Person(app, "eve@example.org")
    assert (
        eve.post(f"{page}/like", {"like": "yes"}, page="/account").status_code == 404
    )  # the photo is not public
    _publish(anna, photo)
    for person in (eve, eve, anna):
        assert person.post(f"{page}/like", {"like": "yes"}, page="/account").location == page
    assert "2 likes" in eve.get(page).text
    assert 'aria-pressed="true"' in eve.get(page).text
    assert "where 2 people like it" in anna.get(f"/photos/{photo}").text
    eve.post(f"{page}/like", {"like": "no"}, page=page)
    assert "1 like<" in Person(app).get(page).text
    stranger = Person(app)
    stranger.token("/login")
    assert stranger.client.post(f"{page}/like").status_code in (303, 400)
    assert services_of(app).album.likes([photo]) == {photo: 1}


def test_a_link_shows_one_private_photo_until_it_is_revoked(app: Flask, engine: Engine, anna: Person) -> None:
    photo, page = anna.upload_one(), ""
    page = f"/photos/{photo}"
    link = _link(anna, photo)
    assert len(link.rpartition("/")[2]) >= 43  # 256 bits in base64
    with reading(engine) as connection:
        stored = connection.execute(share_links.select()).one()
    assert link.rpartition("/")[2] not in str(stored)
    stranger = Person(app)
    shown = stranger.get(link)
    assert (shown.status_code, 'content="noindex"' in shown.text) == (200, True)
    jpeg = stranger.get(f"{link}/photo.jpg")
    assert (jpeg.status_code, jpeg.mimetype) == (200, "image/jpeg")
    assert stranger.get(f"{page}/photo.jpg").status_code == 404
    assert stranger.get(f"/album/{photo}").status_code == 404
    assert "Revoke link" in anna.get(page).text

    newer = _link(anna, photo)
    assert [stranger.get(one).status_code for one in (link, newer)] == [404, 200]
    assert anna.post(f"{page}/unshare", page=page).status_code == 303
    dead = [newer, f"{newer}/photo.jpg", "/s/x", "/s/%00", "/s/" + "y" * 5000]
    assert [stranger.get(one).status_code for one in dead] == [404] * 5
    assert "Revoke link" not in anna.get(page).text


def test_a_link_ends_with_its_photo(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    link = _link(anna, photo)
    anna.post(f"/photos/{photo}/delete", page=f"/photos/{photo}")
    assert Person(app).get(link).status_code == 404


def test_album_pages_lead_forward_and_back_through_all_photos(app: Flask, engine: Engine) -> None:
    ids = add_photos(engine, 2 * PAGE_PHOTOS + 5, status="cat", on_air=True)
    add_photos(engine, 3, status="cat")
    stranger, address, seen, addresses = Person(app), "/album", [], []
    while address:
        addresses.append(address)
        text = stranger.get(address).text
        seen += re.findall(r'<a href="/album/(\d+)"', text)
        address = next(iter(re.findall(r'href="(/album\?older=[^"]+)"', text)), "")
    assert [int(id) for id in seen] == sorted(ids, reverse=True)
    text = stranger.get(addresses[-1]).text
    back = re.findall(r'href="(/album\?newer=[^"]+)"', text)[0]
    first, second = (re.findall(r'<a href="/album/(\d+)"', stranger.get(one).text) for one in addresses[:2])
    assert re.findall(r'<a href="/album/(\d+)"', stranger.get(back).text) == second
    assert "newer=" not in stranger.get("/album").text
    assert stranger.get("/album?older=nonsense&newer=1").text.count('<li id="photo-') == len(first)
    with writing(engine) as connection:
        connection.execute(update(photos).values(on_air=False))
    assert "No more photos." in stranger.get(addresses[1]).text


def test_a_photo_of_the_album_leads_back_to_its_page(app: Flask, engine: Engine) -> None:
    ids = add_photos(engine, 2 * PAGE_PHOTOS, status="cat", on_air=True)
    stranger = Person(app)
    for id, first in ((ids[-1], ids[-1]), (ids[-PAGE_PHOTOS], ids[-1]), (ids[5], ids[5])):
        found = re.search(r'class="back" href="([^"]+)"', stranger.get(f"/album/{id}").text)
        assert found
        shown_ids = re.findall(r'<a href="/album/(\d+)"', stranger.get(found[1].partition("#")[0]).text)
        assert (int(shown_ids[0]), str(id) in shown_ids) == (first, True)


def _link(owner: Person, photo: int) -> str:
    text = owner.post(f"/photos/{photo}/share", page=f"/photos/{photo}").text
    link = re.search(r'value="http://localhost(/s/[^"]+)"', text)
    assert link
    return link[1]


def test_only_the_owner_can_revoke_a_link(app: Flask, anna: Person) -> None:
    photo, store = anna.upload_one(), services_of(app).share_links
    token = store.make(photo, anna.id, utcnow())
    assert token
    assert not store.revoke(photo, anna.id + 1)
    assert Person(app).get(f"/s/{token}").status_code == 200
    assert store.revoke(photo, anna.id)
    assert Person(app).get(f"/s/{token}").status_code == 404
