"""Square crop, rotation and replacement of a photo: forms, objects, deletion ledger, verdicts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import update
from werkzeug.test import TestResponse

from catloader.errors import NotFound, StoreUnavailable
from catloader.intake.changes import cut, replace, rotate
from catloader.store.db.checks.explanations import Explanations
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.pixels.renditions import Crop
from checker.values import Outcome, Verdict
from tests.support.site import Person, check, jpeg, services_of
from tests.support.watched_store import watched_store

_RED, _BLUE = (220, 30, 30), (30, 30, 220)


def _two_halves(size: tuple[int, int] = (400, 200)) -> bytes:
    """Return a photo whose left half is red and whose right half is blue."""
    photo = Image.new("RGB", size, _RED)
    photo.paste(_BLUE, (size[0] // 2, 0, *size))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=95)
    return file.getvalue()


def _replace(person: Person, id: int, data: bytes) -> TestResponse:
    page = f"/photos/{id}"
    return person.post(f"{page}/replace", {"photo": (io.BytesIO(data), "other.jpg")}, page=page)


def _cut(person: Person, id: int, left: object, top: object, side: object) -> TestResponse:
    page = f"/photos/{id}/square"
    return person.post(page, {"left": str(left), "top": str(top), "side": str(side)})


def _rotate(person: Person, id: int, to: str) -> TestResponse:
    return person.post(f"/photos/{id}/rotate", {"to": to}, page=f"/photos/{id}")


def _row(app: Flask, id: int) -> Photo:
    row = services_of(app).photos.by_id(id)
    assert row
    return row


def _thumbnail(person: Person, id: int) -> Image.Image:
    return Image.open(io.BytesIO(person.get(f"/photos/{id}/thumbnail.jpg").data)).convert("RGB")


def _is_stored(app: Flask, kind: ObjectKind, key: str) -> bool:
    return services_of(app).objects.exists(kind, key)


def test_square_moves_the_thumbnail_and_the_photo_is_checked_again(app: Flask, anna: Person) -> None:
    id = anna.upload_one(_two_halves(), caption="Halves")
    check(app, Verdict.CAT, profile_id="lite0-1")
    before = _row(app, id)
    assert 'value="100"' in anna.get(f"/photos/{id}/square").text  # centred: (400 - 200) / 2
    answer = _cut(anna, id, 200, 0, 180)
    assert (answer.status_code, answer.location) == (303, f"/photos/{id}")
    after = _row(app, id)
    assert (after.crop_left_px, after.crop_top_px, after.crop_side_px, after.thumbnail_px) == (
        200,
        0,
        180,
        180,
    )
    assert (after.photo_key, after.sha256, after.caption) == (before.photo_key, before.sha256, "Halves")
    assert _thumbnail(anna, id).resize((1, 1)).tobytes()[2] > 150  # all blue, and no longer half red
    assert (after.status, after.score) == ("pending", None)
    services_of(app).deletion.work_off()
    assert not _is_stored(app, ObjectKind.THUMBNAIL, before.thumbnail_key)
    assert services_of(app).ledger.count() == 0
    assert check(app, Verdict.NOT_CAT) == id


def test_invalid_square_changes_nothing(app: Flask, anna: Person) -> None:
    id = anna.upload_one(_two_halves())
    before = _row(app, id)
    for square, sentence in (
        ((201, 0, 200), "must lie within the photo"),
        ((0, 1, 200), "must lie within the photo"),
        ((0, 0, 63), "must be at least 64 px wide"),
        (("-1", 0, 100), "in whole pixels"),
        (("", 0, 100), "in whole pixels"),
        ((0, 0, "9" * 400), "in whole pixels"),
    ):
        answer = _cut(anna, id, *square)
        assert answer.status_code == 400
        assert sentence in answer.text
        assert _row(app, id) == before


def test_square_keeps_a_persons_verdict(app: Flask, anna: Person) -> None:
    id = anna.upload_one(_two_halves())
    check(app, Verdict.UNSURE)
    services_of(app).users.grant(anna.id, "reviewer")
    assert services_of(app).reviews.decide(id, anna.id, "cat", "", utcnow())
    assert _cut(anna, id, 0, 0, 200).status_code == 303
    assert (_row(app, id).status, _row(app, id).human_verdict) == ("cat", "cat")


def test_a_rotated_photo_keeps_its_square_likes_and_date_and_is_checked_again(
    app: Flask, anna: Person
) -> None:
    id = anna.upload_one(_two_halves(), caption="Halves")
    check(app, Verdict.CAT)
    services_of(app).album.publish([id], anna.id, public=True)
    services_of(app).album.like(id, anna.id, utcnow())
    assert _cut(anna, id, 20, 0, 100).status_code == 303  # red
    with writing(services_of(app).engine) as connection:
        connection.execute(update(photos).values(captured_at="2020-05-17T12:00:00"))
    check(app, Verdict.CAT)
    before = _row(app, id)
    page, answer = f"/photos/{id}", _rotate(anna, id, "right")
    assert (answer.status_code, answer.location) == (303, page)
    assert "Photo rotated. It will be checked again." in anna.get(page).text
    after = _row(app, id)
    assert (after.width_px, after.height_px, after.caption, after.on_air) == (200, 400, "Halves", True)
    assert (after.crop_left_px, after.crop_top_px, after.crop_side_px) == (100, 20, 100)
    assert after.captured_at == "2020-05-17T12:00:00"
    photo = Image.open(io.BytesIO(anna.get(f"/photos/{id}/photo.jpg").data)).convert("RGB")
    assert photo.size == (200, 400)
    upper, lower = photo.resize((1, 2)).tobytes()[:3], photo.resize((1, 2)).tobytes()[3:]
    assert (upper[0] > 150, lower[2] > 150) == (True, True), "the left half is now above"
    assert _thumbnail(anna, id).resize((1, 1)).tobytes()[0] > 150
    assert (after.status, after.score, after.in_album) == ("pending", None, False)
    services_of(app).deletion.work_off()
    for kind, key in ((ObjectKind.PHOTO, before.photo_key), (ObjectKind.THUMBNAIL, before.thumbnail_key)):
        assert not _is_stored(app, kind, key)
    assert services_of(app).ledger.count() == 0
    check(app, Verdict.CAT)
    assert services_of(app).album.likes([id]) == {id: 1}
    assert _rotate(anna, id, "left").status_code == 303
    again = _row(app, id)
    assert (again.width_px, again.crop_left_px, again.crop_top_px) == (400, 20, 0)
    for wrong in ("", "up", "RIGHT"):
        assert _rotate(anna, id, wrong).status_code == 400
    assert _row(app, id) == again


def test_a_rotated_photo_keeps_a_persons_verdict_and_an_appeal(app: Flask, anna: Person) -> None:
    decided, appealed = anna.upload_one(_two_halves()), anna.upload_one(_two_halves((300, 200)))
    for _ in range(2):
        check(app, Verdict.UNSURE)
    reviews = services_of(app).reviews
    services_of(app).users.grant(anna.id, "reviewer")
    assert reviews.decide(decided, anna.id, "cat", "", utcnow())
    assert reviews.appeal(appealed, anna.id, "cat", "", utcnow())
    explanations = Explanations(services_of(app).engine)
    explanations.reserve("e.jpg")
    kept = explanations.keep(decided, "e.jpg", "digest", photo_key=_row(app, decided).photo_key)
    assert kept == _row(app, decided).explanation_key == "e.jpg"
    for id, is_checked in ((decided, False), (appealed, True)):
        assert _rotate(anna, id, "left").status_code == 303
        page = anna.get(f"/photos/{id}").text
        assert ("Photo rotated." in page, "It will be checked again." in page) == (True, is_checked)
    assert (_row(app, decided).status, _row(app, decided).human_verdict) == ("cat", "cat")
    assert _row(app, decided).explanation_key is None, "the heat map is of the photo as it lay"
    check(app, Verdict.NOT_CAT)
    assert reviews.item(appealed) is not None
    assert reviews.undo(anna.id, utcnow()) == decided
    assert _row(app, decided).status == "pending", "the model's verdict is on the photo as it lay"
    assert check(app, Verdict.NOT_CAT) == decided


def test_an_undone_decision_restores_no_verdict_on_a_photo_that_was_rotated(app: Flask, anna: Person) -> None:
    """Even if the square looks the same: here it has one colour."""
    file = io.BytesIO()
    Image.new("RGB", (400, 200), _RED).save(file, "JPEG")
    id = anna.upload_one(file.getvalue())
    check(app, Verdict.UNSURE)
    before, services = _row(app, id), services_of(app)
    services.users.grant(anna.id, "reviewer")
    assert services.reviews.decide(id, anna.id, "cat", "", utcnow())
    assert _rotate(anna, id, "left").status_code == 303
    after = _row(app, id)
    assert (after.thumbnail_sha256, after.sha256 != before.sha256) == (before.thumbnail_sha256, True)
    assert services.reviews.undo(anna.id, utcnow()) == id
    assert _row(app, id).status == "pending"


def test_check_in_progress_writes_no_verdict_on_changed_objects(app: Flask, anna: Person) -> None:
    ids = [anna.upload_one(_two_halves()), anna.upload_one(jpeg())]
    queue = services_of(app).queue
    claims = queue.claim(2)
    assert _cut(anna, ids[0], 0, 0, 200).status_code == 303
    assert _replace(anna, ids[1], _two_halves()).status_code == 303
    assert queue.finish([Outcome(claim, error="late") for claim in claims]) == [False, False]
    assert [_row(app, id).status for id in ids] == ["pending", "pending"]


def test_a_replaced_photo_keeps_its_page_and_history(app: Flask, anna: Person) -> None:
    id = anna.upload_one(jpeg(), caption="Tom")
    check(app, Verdict.CAT, score=0.91, profile_id="lite0-1")
    services_of(app).album.publish([id], anna.id, public=True)
    services_of(app).album.like(id, anna.id, utcnow())
    before = _row(app, id)
    answer = _replace(anna, id, _two_halves())
    assert (answer.status_code, answer.location) == (303, f"/photos/{id}")
    after = _row(app, id)
    assert (after.width_px, after.height_px, after.caption, after.on_air) == (400, 200, "Tom", True)
    assert (after.status, after.score, after.in_album, after.created_at) == (
        "pending",
        None,
        False,
        before.created_at,
    )
    assert (
        hashlib.sha256(anna.get(f"/photos/{id}/photo.jpg").data).hexdigest() == after.sha256 != before.sha256
    )
    services_of(app).deletion.work_off()
    for kind, key in ((ObjectKind.PHOTO, before.photo_key), (ObjectKind.THUMBNAIL, before.thumbnail_key)):
        assert not _is_stored(app, kind, key)
    assert _is_stored(app, ObjectKind.PHOTO, after.photo_key)
    assert services_of(app).ledger.count() == 0
    page = anna.get(f"/photos/{id}").text
    events = ("You replaced the photo with another file.", "Checked by efficientnet_lite0: cat, score 0.910.")
    assert 0 < page.find(events[0]) < page.find(events[1]), "the newest event is first"
    assert "What the model sees" not in page  # the labels belong to the replaced file
    assert services_of(app).check_log.latest_decision(id) is None
    assert check(app, Verdict.NOT_CAT) == id
    assert "What the model sees" in anna.get(f"/photos/{id}").text
    assert services_of(app).album.likes([id]) == {}


def test_decisions_of_people_do_not_carry_over_to_a_replacement(app: Flask, anna: Person) -> None:
    rita = Person(app, "rita@example.org")
    services = services_of(app)
    services.users.grant(rita.id, "reviewer")
    id = anna.upload_one(jpeg())
    check(app, Verdict.UNSURE)
    stale = {"verdict": "cat", "file": _row(app, id).sha256}
    assert services.reviews.decide(id, rita.id, "cat", "", utcnow())
    assert rita.get(f"/photos/{id}/photo.jpg").status_code == 200
    assert _replace(anna, id, _two_halves()).status_code == 303
    assert (_row(app, id).status, _row(app, id).human_verdict) == ("pending", None)
    assert rita.get(f"/photos/{id}/photo.jpg").status_code == 404  # reviewers may not see the new file
    assert services.reviews.undo(rita.id, utcnow()) is None
    check(app, Verdict.UNSURE)
    # A decision from a page that was opened before the replacement is refused.
    assert rita.post(f"/review/{id}/decide", stale, page="/review").status_code == 303
    assert "This photo has just changed. Nothing was decided: look at it again." in rita.get("/review").text
    assert _row(app, id).status == "unsure"
    fresh = {"verdict": "not_cat", "file": _row(app, id).sha256}
    assert rita.post(f"/review/{id}/decide", fresh, page="/review").status_code == 303
    assert _row(app, id).status == "not_cat"


def test_open_appeal_ends_when_its_file_is_replaced(app: Flask, anna: Person) -> None:
    id = anna.upload_one(jpeg())
    check(app, Verdict.NOT_CAT)
    assert services_of(app).reviews.appeal(id, anna.id, "cat", "", utcnow())
    assert _replace(anna, id, _two_halves()).status_code == 303
    assert services_of(app).reviews.item(id) is None


def test_refused_file_keeps_the_photo(app: Flask, anna: Person) -> None:
    id = anna.upload_one(jpeg())
    before = _row(app, id)
    for data, status in ((b"", 400), (b"no photo at all", 415), (jpeg()[:300], 422)):
        assert _replace(anna, id, data).status_code == status
    assert _row(app, id) == before
    assert services_of(app).ledger.count() == 0


def test_explanation_of_the_replaced_file_is_not_kept(app: Flask, anna: Person) -> None:
    id = anna.upload_one(jpeg())
    explanations = Explanations(services_of(app).engine)
    explanations.reserve("e.jpg")
    before = _row(app, id)
    assert _replace(anna, id, _two_halves()).status_code == 303
    assert explanations.keep(id, "e.jpg", "digest", photo_key=before.photo_key) is None
    assert _row(app, id).explanation_key is None


def test_other_users_cannot_change_a_photo(app: Flask, anna: Person) -> None:
    id = anna.upload_one(_two_halves())
    before = _row(app, id)
    eve = Person(app, "eve@example.org")
    form = {"left": "0", "top": "0", "side": "100"}
    assert eve.post(f"/photos/{id}/square", form, page="/account").status_code == 404
    assert eve.post(f"/photos/{id}/rotate", {"to": "left"}, page="/account").status_code == 404
    photo = {"photo": (io.BytesIO(jpeg()), "other.jpg")}
    assert eve.post(f"/photos/{id}/replace", photo, page="/account").status_code == 404
    assert _row(app, id) == before


def test_change_of_a_photo_that_was_replaced_meanwhile_is_refused(app: Flask, anna: Person) -> None:
    services = services_of(app)
    id = anna.upload_one(_two_halves())
    before = _row(app, id)
    files, objects = services.photo_files, services.objects
    data = objects.get(ObjectKind.PHOTO, before.photo_key)
    assert _replace(anna, id, _two_halves((300, 300))).status_code == 303
    objects.put(ObjectKind.PHOTO, before.photo_key, data)  # pretend that the object is not deleted yet
    with pytest.raises(NotFound):
        cut(
            before,
            Crop(0, 0, 200),
            settings=services.settings,
            prepare=services.decoders.prepare,
            files=files,
            objects=objects,
            dispatcher=services.dispatcher,
        )
    assert _row(app, id).crop_side_px == 300


_Change = Callable[[Photo, ObjectStore], object]


def _changes(app: Flask) -> list[tuple[_Change, list[ObjectKind]]]:
    """Return each kind of change, as functions of a store, with the kinds of the objects that each puts."""
    services = services_of(app)
    parts: dict[str, Any] = {
        "settings": services.settings,
        "prepare": services.decoders.prepare,
        "files": services.photo_files,
        "dispatcher": services.dispatcher,
    }
    return [
        (
            lambda photo, objects: replace(
                photo, io.BytesIO(_two_halves((300, 300))), objects=objects, **parts
            ),
            [ObjectKind.PHOTO, ObjectKind.THUMBNAIL],
        ),
        (
            lambda photo, objects: cut(photo, Crop(0, 0, 200), objects=objects, **parts),
            [ObjectKind.THUMBNAIL],
        ),
        (
            lambda photo, objects: rotate(photo, 1, objects=objects, **parts),
            [ObjectKind.PHOTO, ObjectKind.THUMBNAIL],
        ),
    ]


def _ledger(app: Flask) -> list[str]:
    return [row.key for row in services_of(app).ledger.due(10, utcnow() + timedelta(days=365))]


def test_objects_of_a_change_are_reserved_then_stored_then_recorded(
    app: Flask, anna: Person, s3_server: EmbeddedS3, objects: ObjectStore
) -> None:
    """So a process that dies at any moment leaves the photo unchanged, and no object without an entry."""
    id = anna.upload_one(_two_halves())
    store = watched_store(s3_server, objects)
    put: list[str] = []
    for change, kinds in _changes(app):
        before = _row(app, id)
        put.clear()

        def before_put(key: str, before: Photo = before) -> None:
            assert key in _ledger(app)
            assert _row(app, id) == before
            put.append(key)

        store.before_put = before_put
        change(before, store)
        after = _row(app, id)
        keys = {ObjectKind.PHOTO: after.photo_key, ObjectKind.THUMBNAIL: after.thumbnail_key}
        assert put == [keys[kind] for kind in kinds]
        assert not set(put) & set(_ledger(app))


def test_change_whose_object_can_not_be_stored_leaves_the_photo_as_it_was(
    app: Flask, anna: Person, s3_server: EmbeddedS3, objects: ObjectStore
) -> None:
    id = anna.upload_one(_two_halves())
    before = _row(app, id)
    store = watched_store(s3_server, objects)
    for change, kinds in _changes(app):
        put: list[str] = []

        def before_put(key: str, put: list[str] = put, last: int = len(kinds)) -> None:
            put.append(key)
            if len(put) == last:
                raise StoreUnavailable("The store is away.")

        store.before_put = before_put
        with pytest.raises(StoreUnavailable):
            change(before, store)
        assert set(put) <= set(_ledger(app))
        assert _row(app, id) == before
        assert anna.get(f"/photos/{id}/thumbnail.jpg").status_code == 200


def test_no_thumbnail_is_cut_from_an_altered_photo(app: Flask, anna: Person) -> None:
    id = anna.upload_one(_two_halves())
    before = _row(app, id)
    services_of(app).objects.put(ObjectKind.PHOTO, before.photo_key, _two_halves((400, 220)))
    assert _cut(anna, id, 0, 0, 200).status_code == 502
    assert (_row(app, id), services_of(app).ledger.count()) == (before, 0)
