"""My photos, pages of photos, JPEG files and the JSON of badges, each for the owner only."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import Engine

from catloader.store.db.engine import utcnow
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.photos.photo_list import PAGE_PHOTOS
from checker.decision.operating_point import SHIPPED_PROFILES, thresholds_for
from checker.decision.profile import load_profile
from checker.decision.rates import rates_within
from checker.values import Label, Outcome, Reason, Rendition, Verdict
from tests.support.programs import Program, assert_problem, token_of
from tests.support.rows import add_photos
from tests.support.site import Person, check, jpeg, running_site, services_of


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"max_attempts": 1}


def test_photos_of_other_users_are_not_found(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT)
    pages = [f"/photos/{photo}{rest}" for rest in ("", "/photo.jpg", "/thumbnail.jpg")]
    assert [anna.get(page).status_code for page in pages] == [200] * 3
    eve = Person(app, "eve@example.org")
    assert [eve.get(page).status_code for page in pages] == [404] * 3
    assert eve.post(f"/photos/{photo}/delete", page="/account").status_code == 404
    assert eve.get(f"/api/photos/status?ids={photo}").json == {"photos": [], "waiting_note": ""}
    assert f"/photos/{photo}" not in eve.get("/photos").text
    stranger = Person(app)
    assert [stranger.get(page).status_code for page in pages] == [303, 404, 404]
    assert anna.get(pages[0]).status_code == 200


def test_jpeg_files_are_sent_with_headers_for_caching_and_security(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(jpeg(size=(300, 200)))
    image = services_of(app).photos.by_id(photo)
    assert image
    for path, sha256 in (("photo.jpg", image.sha256), ("thumbnail.jpg", image.thumbnail_sha256)):
        answer = anna.get(f"/photos/{photo}/{path}")
        assert hashlib.sha256(answer.data).hexdigest() == sha256
        assert answer.content_type == "image/jpeg"
        assert answer.content_length == len(answer.data)
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert answer.headers["ETag"] == f'"{sha256}"'
        again = anna.get(f"/photos/{photo}/{path}", **{"If-None-Match": f'"{sha256}"'})
        assert (again.status_code, again.data) == (304, b"")
        assert anna.client.head(f"/photos/{photo}/{path}").status_code == 200
    anna.log_out()
    cached = anna.get(f"/photos/{photo}/photo.jpg", **{"If-None-Match": f'"{image.sha256}"'})
    assert cached.status_code == 404


@pytest.mark.parametrize("damage", ["altered", "cut"])
def test_altered_and_truncated_objects_are_not_served(
    app: Flask, anna: Person, objects: ObjectStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    id = anna.upload_one()
    row = services_of(app).photos.by_id(id)
    assert row
    for kind, key in ((ObjectKind.PHOTO, row.photo_key), (ObjectKind.THUMBNAIL, row.thumbnail_key)):
        good = objects.get(kind, key)
        objects.put(kind, key, jpeg((9, 9, 9)) if damage == "altered" else good[: len(good) // 2])
        answer = anna.get(f"/photos/{id}/{kind}.jpg")
        assert (answer.status_code, answer.mimetype) == (502, "text/html")
        assert "damaged copy of this photo" in answer.text
        assert f"other bytes under the key {key} ({kind})" in caplog.text
        assert caplog.records[-1].levelname == "ERROR"
        objects.put(kind, key, good)
        assert anna.get(f"/photos/{id}/{kind}.jpg").data == good


def test_an_altered_photo_is_never_sent_at_any_address(
    app: Flask, anna: Person, objects: ObjectStore
) -> None:
    id, services = anna.upload_one(), services_of(app)
    row = services.photos.by_id(id)
    link = services.share_links.make(id, anna.id, utcnow())
    assert row
    program, visitor = Program(app, token_of(app, anna)), Person(app)
    stored = ((ObjectKind.PHOTO, row.photo_key), (ObjectKind.THUMBNAIL, row.thumbnail_key))

    addresses: list[tuple[Person | Program, str]] = [
        (anna, f"/photos/{id}/photo.jpg"),
        (anna, f"/photos/{id}/thumbnail.jpg"),
        (anna, f"/photos/{id}/thumbnail-2x.jpg"),
        (program, f"/api/v1/photos/{id}/photo.jpg"),
        (program, f"/api/v1/photos/{id}/thumbnail.jpg"),
        (visitor, f"/s/{link}/photo.jpg"),
    ]
    for reader, path in addresses:
        assert reader.get(path).status_code == 200, path
    for kind, key in stored:
        objects.put(kind, key, jpeg((9, 9, 9)))
    for reader, path in addresses:
        assert reader.get(path).status_code == 502, path


def test_delivery_by_short_lived_urls(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, delivery="url") as app:
        anna = Person(app, "anna@example.org")
        photo = anna.upload_one()
        answer = anna.get(f"/photos/{photo}/photo.jpg")
        assert answer.status_code == 302
        assert "no-store" in answer.headers["Cache-Control"]
        image = services_of(app).photos.by_id(photo)
        assert image
        with requests.Session() as browser:
            browser.trust_env = False
            sent = browser.get(answer.location, timeout=10)
            assert hashlib.sha256(sent.content).hexdigest() == image.sha256
            assert browser.get(answer.location.split("?")[0], timeout=10).status_code == 403
        policy = anna.get("/photos").headers["Content-Security-Policy"]
        assert f"img-src 'self' data: blob: {s3_server.endpoint_url};" in policy
        assert Person(app, "eve@example.org").get(f"/photos/{photo}/photo.jpg").status_code == 404


@pytest.mark.parametrize("delivery", ["app", "url"])
def test_a_downloaded_photo_is_saved_and_not_shown(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, delivery: str
) -> None:
    """Browsers ignore the attribute ``download`` of a link that leads to another host."""
    with running_site(engine, s3_server, objects, tmp_path, delivery=delivery) as app:
        anna = Person(app, "anna@example.org")
        photo = anna.upload_one()
        link = re.search(r'href="([^"]+)" download=', anna.get(f"/photos/{photo}").text)
        assert link
        answer = anna.get(link[1])
        headers = dict(answer.headers)
        if delivery == "url":
            with requests.Session() as browser:
                browser.trust_env = False
                headers = dict(browser.get(answer.location, timeout=10).headers)
        assert headers["Content-Disposition"] == f'attachment; filename="photo-{photo}.jpg"'
        assert headers["Content-Type"] == "image/jpeg"
        for path in ("photo.jpg", "thumbnail.jpg"):
            assert "Content-Disposition" not in anna.get(f"/photos/{photo}/{path}").headers


def test_deleting_a_photo_removes_row_and_objects(app: Flask, anna: Person, objects: ObjectStore) -> None:
    photo = anna.upload_one()
    image = services_of(app).photos.by_id(photo)
    assert image
    stored = ((ObjectKind.PHOTO, image.photo_key), (ObjectKind.THUMBNAIL, image.thumbnail_key))
    assert [objects.exists(*where) for where in stored] == [True, True]
    assert "Delete photo" in anna.get(f"/photos/{photo}").text
    answer = anna.post(f"/photos/{photo}/delete", page=f"/photos/{photo}")
    assert (answer.status_code, answer.location) == (303, "/photos")
    assert anna.get(f"/photos/{photo}").status_code == 404
    assert anna.get(f"/photos/{photo}/photo.jpg").status_code == 404
    assert services_of(app).ledger.count() == 2
    assert services_of(app).deletion.work_off() == 2
    assert [objects.exists(*where) for where in stored] == [False, False]


def test_status_api_returns_badges(app: Flask, anna: Person) -> None:
    ids = [anna.upload_one() for _ in range(2)]
    query = ",".join(map(str, ids))
    waiting = anna.get(f"/api/photos/status?ids={query}").json
    assert waiting
    assert [photo["label"] for photo in waiting["photos"]] == ["Waiting"] * 2
    assert waiting["waiting_note"] == ""
    assert not any(photo["final"] for photo in waiting["photos"])
    check(app, Verdict.CAT, score=0.97)
    response = anna.get(f"/api/photos/status?ids={query}").json
    assert response
    first = next(photo for photo in response["photos"] if photo["id"] == ids[0])
    assert first == {
        "id": ids[0],
        "status": "cat",
        "label": "Cat?",
        "tone": "yes",
        "final": True,
        "score": pytest.approx(0.97),
        "calibrated": False,
    }


def test_status_api_refuses_malformed_ids(anna: Person) -> None:
    for ids in ("x", "1,-2", "1;2", "٣", ",".join(map(str, range(101))), "9" * 30):
        answer = anna.get(f"/api/photos/status?ids={ids}")
        assert "ids takes up to" in assert_problem(answer, 400), ids
    for ids in ("", "1", "9999999999"):
        assert anna.get(f"/api/photos/status?ids={ids}").json == {"photos": [], "waiting_note": ""}


def test_photo_page_states_each_verdict_in_words(app: Flask, anna: Person) -> None:
    shown = {}
    for verdict, profile in (
        (Verdict.CAT, "lite0-1"),
        (Verdict.NOT_CAT, "lite0-1"),
        (Verdict.UNSURE, "uncalibrated"),
    ):
        photo = anna.upload_one()
        assert check(app, verdict, profile_id=profile) == photo
        shown[photo] = anna.get(f"/photos/{photo}").text
    cat, not_cat, unsure = shown.values()
    assert "This photo shows a cat." in cat
    assert "Cat?" not in cat
    assert "less reliable" not in cat
    assert "Score 0.970. From 0.500 up it means cat; below 0.020 it means no cat." in " ".join(cat.split())
    assert cat.count("tiger cat") == 2
    assert "71.0 %" in cat
    assert "efficientnet_lite0" in cat
    assert "This photo shows no cat." in not_cat
    assert "can&#39;t tell whether this photo shows a cat" in unsure
    assert "Not sure" in unsure
    assert "the model has not been tested here yet" in unsure


def test_pages_in_italian_negate_correctly(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT, profile_id="lite0-1")
    anna.post(f"/photos/{photo}/appeal", {"wish": "not_cat"}, page=f"/photos/{photo}")
    services_of(app).reviews.decide(photo, anna.id, "not_cat", "", utcnow())
    page = " ".join(anna.get(f"/photos/{photo}", **{"Accept-Language": "it"}).text.split())
    assert "In questa foto: nessun gatto." in page
    assert "Hai chiesto una revisione: nessun gatto." in page
    assert "mostra nessun" not in page  # Italian needs "non" before the verb


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (Reason.WILD_FELINE, "This looks like a cat, but even more like a wild feline."),
        (Reason.LOW_DETAIL, "This may show a cat, but the photo is too blurred, small or dark to be sure."),
        (Reason.DRAWN, "This may show a cat, but it looks like a drawing, which the model can&#39;t judge."),
        (Reason.NO_LABEL, "This may show a cat, but the model recognises none anywhere in the photo."),
    ],
)
def test_photo_page_says_why_a_photo_with_a_high_score_is_unsure(
    app: Flask, anna: Person, reason: Reason, sentence: str
) -> None:
    photo = anna.upload_one()
    check(app, Verdict.UNSURE, profile_id="lite0-1", reason=reason)
    page = " ".join(anna.get(f"/photos/{photo}").text.split())
    assert sentence in page
    assert "From 0.500 up it usually means cat" in page
    assert "and up means" not in page  # the label of the gauge, for screen readers
    assert "Score 0.970; 0.500 and up usually means cat" in page


@pytest.mark.parametrize(
    ("photo_labels", "thumbnail_labels"),
    [
        ([(282, "tiger cat", 0.4), (292, "tiger", 0.3)], [(716, "picket fence", 0.9)]),
        ([(282, "tiger cat", 0.4)], [(281, "tabby", 0.3), (292, "tiger", 0.25), (290, "jaguar", 0.24)]),
        ([(287, "lynx", 0.2)], [(292, "tiger", 0.9)]),
    ],
    ids=["thing in the middle", "several wild felines", "both"],
)
def test_photo_page_names_the_wild_feline_that_a_photo_looks_like(
    app: Flask,
    anna: Person,
    photo_labels: list[tuple[int, str, float]],
    thumbnail_labels: list[tuple[int, str, float]],
) -> None:
    """The likeliest label may be a cat, or a thing in the middle, since the photo is judged as a whole."""
    labels = {
        Rendition.PHOTO: tuple(Label(*label) for label in photo_labels),
        Rendition.THUMBNAIL: tuple(Label(*label) for label in thumbnail_labels),
    }
    photo = anna.upload_one()
    check(app, Verdict.UNSURE, profile_id="lite0-1", reason=Reason.WILD_FELINE, labels=labels)
    page = " ".join(anna.get(f"/photos/{photo}").text.split())
    assert "This looks like a cat, but even more like a tiger." in page
    ruled_out = anna.upload_one()
    check(app, Verdict.NOT_CAT, score=0.01, profile_id="lite0-1", labels=labels, wild_feline=True)
    assert "No cat, but it looks like a tiger." in anna.get(f"/photos/{ruled_out}").text
    german = anna.get(f"/photos/{ruled_out}", **{"Accept-Language": "de"}).text
    assert "Keine Katze; das Foto zeigt wohl einen Tiger." in german


@pytest.mark.parametrize("is_soft", [False, True])
def test_photo_page_shows_the_measured_rates_per_kind(app: Flask, anna: Person, is_soft: bool) -> None:
    """The rates belong to the threshold that decided; soft photos have another threshold."""
    profile = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-openvino-int8-house_cat.json")
    rates, thresholds = rates_within(profile, 0.01), thresholds_for(profile, 0.01, 0.01)
    cat_at = thresholds.soft_cat_at if is_soft else thresholds.cat_at
    photo = anna.upload_one()
    check(app, Verdict.CAT, cat_at=cat_at, profile_id=profile.profile_id)
    page = anna.get(f"/photos/{photo}").text
    assert re.findall(r'<th scope="row">(.*?) called cat</th><td class="figure">([0-9.]+) %</td>', page) == [
        (kind.replace("soft picture", "soft photo"), f"{100 * share.rate:.1f}")
        for kind, share in rates.kinds.items()
    ]
    assert f'cats found</th><td class="figure">{100 * rates.recall.rate:.1f} %' in page


def test_photo_page_shows_no_rates_of_another_threshold(app: Flask, anna: Person) -> None:
    profile = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-openvino-int8-house_cat.json")
    for profile_id in (profile.profile_id, "gone", "uncalibrated"):
        photo = anna.upload_one()
        check(app, Verdict.CAT, cat_at=0.123, profile_id=profile_id)
        assert "Measured on photos of known content" not in anna.get(f"/photos/{photo}").text


def test_photo_page_explains_failed_checks(app: Flask, anna: Person) -> None:
    queue = services_of(app).queue
    broken, failed = anna.upload_one(), anna.upload_one()
    first, second = queue.claim(2)
    queue.finish([Outcome(first, error="The photo is damaged.", unreadable=True)])
    queue.finish([Outcome(second, error="The network failed.", retryable=True)])
    unreadable = anna.get(f"/photos/{broken}").text
    assert all(text in unreadable for text in ("Unreadable", "could not open the stored file", "damaged"))
    assert "Check it again, upload the original again, or ask a reviewer below." in unreadable
    waiting_again = anna.get(f"/photos/{failed}").text
    assert all(
        text in waiting_again for text in ("Check failed", "The check failed once. Your photo is safe.")
    )
    assert "Check it again, or ask a reviewer below." in waiting_again


def test_custom_subject_is_named_on_the_pages(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, subject="my/garden_bird.toml") as app:
        anna = Person(app, "anna@example.org")
        photo = anna.upload_one()
        check(app, Verdict.NOT_CAT, profile_id="mine")
        assert "This photo shows no garden bird." in anna.get(f"/photos/{photo}").text
        assert "No garden bird" in anna.get("/photos").text


def test_ids_out_of_range_are_not_found(anna: Person) -> None:
    for id in ("0", "2147483647", "2147483648", "9" * 40, "-1", "x"):
        assert anna.get(f"/photos/{id}").status_code == 404
        assert anna.get(f"/photos/{id}/photo.jpg").status_code == 404
        assert anna.get(f"/photos?older={id}-{id}&newer={id}&show={id}&sort={id}").status_code == 200


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_my_photos_opens_at_the_photo_that_is_left(app: Flask, anna: Person, order: str) -> None:
    """A photo on the first page leads back to the first page; any other photo begins a new page."""
    anna.upload_one()
    owner = anna.photos[0].owner_id
    ids = [anna.photos[0].id, *add_photos(services_of(app).engine, PAGE_PHOTOS, owner_id=owner)]
    shown = ids if order == "oldest" else ids[::-1]
    for id in (shown[0], shown[PAGE_PHOTOS - 1], shown[PAGE_PHOTOS]):
        (link,) = re.findall(r'class="back" href="([^"]+)"', anna.get(f"/photos/{id}?sort={order}").text)
        address, _, anchor = link.replace("&amp;", "&").partition("#")
        boxes = re.findall(r'<li id="(photo-\d+)">', anna.get(address).text)
        if id == shown[PAGE_PHOTOS]:
            assert (boxes[0], anchor) == (f"photo-{id}", "")
        else:
            assert (boxes[0], anchor) == (f"photo-{shown[0]}", f"photo-{id}")
            assert anchor in boxes


def test_photo_page_names_the_wild_class_of_a_subject_of_your_own(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    """A wolf does not look like a lynx, a lion or a tiger."""
    subject = tmp_path / "tame_dog.toml"
    subject.write_text('classes = ["beagle"]\nwild = ["timber wolf"]\n')
    labels = dict.fromkeys(Rendition, (Label(162, "beagle", 0.4), Label(269, "timber wolf", 0.3)))
    with running_site(engine, s3_server, objects, tmp_path, subject=str(subject)) as app:
        anna = Person(app, "anna@example.org")
        photo = anna.upload_one()
        check(app, Verdict.NOT_CAT, labels=labels, subject="tame_dog", wild_feline=True)
        assert "No tame dog, but it looks like a timber wolf." in anna.get(f"/photos/{photo}").text
        subject.unlink()
        assert "No tame dog, but it looks like a wild feline." in anna.get(f"/photos/{photo}").text


@pytest.mark.parametrize(
    ("turned_deg", "rotation"),
    [
        (90, "90 degrees to the right, because it seemed to lie on its side."),
        (180, "180 degrees, because it seemed to be upside down."),
        (270, "90 degrees to the left, because it seemed to lie on its side."),
    ],
)
def test_photo_page_says_that_a_photo_seems_turned_until_its_owner_rotates_it(
    app: Flask, anna: Person, turned_deg: int, rotation: str
) -> None:
    sentence = f"For the check, the photo was rotated by {rotation}"
    rita = Person(app, "rita@example.org")
    services_of(app).users.grant(rita.id, "reviewer")
    photo, decided = anna.upload_one(), anna.upload_one(jpeg((1, 2, 3)))
    for _ in range(2):
        check(app, Verdict.UNSURE, turned_deg=turned_deg)
    pages = {id: f"/photos/{id}" for id in (photo, decided)}

    def text(id: int) -> str:
        return " ".join(anna.get(pages[id]).text.split())

    assert [f"{sentence} If that is so, you can rotate it here." in text(id) for id in pages] == [True, True]
    in_review = rita.get(f"/review/{photo}").text
    assert (sentence in in_review, "rotate it here" in in_review) == (True, False)
    assert rita.post(f"/review/{decided}/decide", {"verdict": "cat"}, page="/review").status_code == 303
    assert sentence in text(decided)
    for id, page in pages.items():
        assert anna.post(f"{page}/rotate", {"to": "right"}, page=page).status_code == 303
        assert "For the check" not in text(id), "the last check is of the photo as it lay"
    check(app, Verdict.UNSURE)
    assert "For the check" not in text(photo) + rita.get(f"/review/{photo}").text


def test_photo_page_does_not_contradict_a_reviewer(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT, profile_id="lite0-1")
    anna.post(f"/photos/{photo}/appeal", {"wish": "not_cat"}, page=f"/photos/{photo}")
    services_of(app).reviews.decide(photo, anna.id, "not_cat", "", utcnow())
    page = " ".join(anna.get(f"/photos/{photo}").text.split())
    assert "A reviewer decided: this photo shows no cat." in page
    assert "From 0.500 up it usually means cat" in page
    assert "and up means" not in page
