"""The random audit: photos that the model decided are drawn and judged blind, which gives an estimate."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import Engine, insert, update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.replacements import enter
from catloader.store.db.schema import check_log, photos
from catloader.store.db.staff.random_audits import RandomAudits, Tally
from catloader.store.db.staff.reviews import Reviews
from checker.evaluation.intervals import wilson
from checker.values import Verdict
from tests.support.rows import add_photos, some_user
from tests.support.site import Person, check, services_of


@pytest.fixture
def rita(app: Flask) -> Person:
    rita = Person(app, "rita@example.org")
    services_of(app).users.grant(rita.id, "admin")
    return rita


def _decided(engine: Engine, count: int, status: str, profile_id: str = "p") -> list[int]:
    ids = add_photos(engine, count, status=status)
    row = {"attempt": 1, "finished_at": utcnow(), "score": 0.9, "model": "m", "profile_id": profile_id}
    with writing(engine) as connection:
        connection.execute(insert(check_log), [{"photo_id": id, "verdict": status, **row} for id in ids])
    return ids


def test_answers_of_an_audit_are_decisions_and_give_an_estimate(
    app: Flask, anna: Person, rita: Person
) -> None:
    for _ in range(3):
        anna.upload_one()
    ids = [check(app, Verdict.CAT) for _ in range(3)]
    assert rita.get(f"/photos/{ids[0]}/photo.jpg").status_code == 404
    for number in ("0", "1001", "many", ""):
        fields = {"number": number, "verdict": "cat"}
        assert rita.post("/review/audit/draw", fields, page="/review/audit").status_code == 400
    rita.post("/review/audit/draw", {"number": "3", "verdict": "cat"}, page="/review/audit")
    rita.post("/review/audit/draw", {"number": "3", "verdict": "cat"}, page="/review/audit")
    page = rita.get("/review/audit").text
    assert "No photo is left to draw." in page
    assert "3 photos are waiting" in page

    answered = []
    for answer in ("not_cat", "cat", "cant_tell"):
        (id,) = re.findall(r'action="/review/audit/(\d+)"', rita.get("/review/audit").text)
        assert rita.get(f"/photos/{id}/photo.jpg").status_code == 200
        rita.post(f"/review/audit/{id}", {"answer": answer}, page="/review/audit")
        answered.append(int(id))
    assert sorted(answered) == sorted(ids)
    verdicts = {photo.id: (photo.status, photo.human_verdict) for photo in anna.photos}
    expected = [("not_cat", "not_cat"), ("cat", "cat"), ("cat", None)]
    assert [verdicts[id] for id in answered] == expected
    assert "A reviewer decided: this photo shows no cat." in anna.get(f"/photos/{answered[0]}").text
    low, high = wilson(1, 2)
    estimate = f"1 of 2 photos (95 % interval {100 * low:.1f} to {100 * high:.1f} %). 1 could not be judged."
    for path in ("/review/audit", "/admin"):
        assert estimate in " ".join(rita.get(path).text.split())
    rita.post(f"/review/audit/{answered[0]}", {"answer": "cat"}, page="/review/audit")
    assert "Nothing was changed." in rita.get("/review/audit").text

    rita.post("/review/undo", page="/account")  # undoes the last decision, "cat"
    assert services_of(app).random_audits.tallies("uncalibrated")["cat"] == Tally(1, 1, 1)
    assert "1 photo is waiting" in rita.get("/review/audit").text


def test_reviewers_get_no_explanation_of_a_drawn_or_decided_photo(
    app: Flask, anna: Person, rita: Person
) -> None:
    path = f"/photos/{anna.upload_one()}/explanation.jpg"
    check(app, Verdict.CAT)  # by a profile that does not exist: those who may see an explanation get 409
    rita.post("/review/audit/draw", {"number": "1", "verdict": "cat"}, page="/review/audit")
    assert rita.get(path.replace("explanation", "photo")).status_code == 200
    assert [person.get(path).status_code for person in (anna, rita)] == [409, 404]
    page = path.removesuffix("/explanation.jpg")
    anna.post(f"{page}/appeal", {"wish": "not_cat"}, page=page)
    assert path in rita.get("/review").text
    assert rita.get(path).status_code == 409
    rita.post(f"/review/{page[8:]}/decide", {"verdict": "cat"}, page="/review")
    assert rita.get(path.replace("explanation", "photo")).status_code == 200
    assert [person.get(path).status_code for person in (anna, rita)] == [409, 404]


def test_an_answer_decides_the_appeal_of_the_photo(app: Flask, anna: Person, rita: Person) -> None:
    photo, reviews = anna.upload_one(), services_of(app).reviews
    check(app, Verdict.NOT_CAT)
    page = f"/photos/{photo}"
    anna.post(f"{page}/appeal", {"wish": "cat"}, page=page)
    rita.post("/review/audit/draw", {"number": "1", "verdict": "not_cat"}, page="/review/audit")
    rita.post(f"/review/audit/{photo}", {"answer": "cat"}, page="/review/audit")
    shown = anna.get(page).text
    assert "A reviewer decided: this photo shows a cat." in shown
    assert "<h2>A reviewer will look at this photo</h2>" not in shown
    assert "Your request was withdrawn." not in shown
    assert reviews.counts() == (0, 0)
    assert reviews.undo(rita.id, utcnow()) == photo
    assert reviews.counts() == (1, 0), "the appeal waits again"
    audits = services_of(app).random_audits
    rita.post(f"/review/audit/{photo}", {"answer": "cant_tell"}, page="/review/audit")
    assert reviews.decide(photo, rita.id, "cat", "", utcnow())
    assert reviews.undo(rita.id, utcnow()) == photo
    assert (audits.waiting(), audits.tallies("uncalibrated")) == (0, {"not_cat": Tally(0, 0, 1)})


def test_each_profile_has_its_own_estimate_and_changed_photos_leave_the_audit(engine: Engine) -> None:
    audits, rita, now = RandomAudits(engine), some_user(engine).id, utcnow()
    cats, others = _decided(engine, 30, "cat"), _decided(engine, 5, "not_cat", "q")
    add_photos(engine, 3, status="cat", human_verdict="cat")
    assert audits.draw("cat", 10, rita, now) == 10
    assert audits.draw("cat", 99, rita, now) == 20
    assert audits.draw("not_cat", 99, rita, now) == 5
    order = []
    while (photo := audits.next()) is not None:
        order.append(photo.id)
        assert audits.answer(photo.id, rita, "cat", now)
    assert sorted(order) == sorted(cats + others)
    assert order[:10] != sorted(order[:10]), (
        "photos are shown by age, so the first ones are not a random sample"
    )
    assert sorted(order[:10]) not in (cats[:10], cats[-10:]), "the oldest or newest photos were drawn"
    assert audits.tallies("p") == {"cat": Tally(30, 0, 0)}
    assert audits.tallies("q") == {"not_cat": Tally(5, 5, 0)}

    changed, replaced = _decided(engine, 2, "cat")
    assert audits.draw("cat", 9, rita, now) == 2
    assert Reviews(engine).may_see(replaced)
    with writing(engine) as connection:
        connection.execute(update(photos).where(photos.c.id == changed).values(status="pending"))
        enter(connection, replaced, now)
    assert audits.next() is None
    assert audits.waiting() == 0, "photos that can no longer be judged are counted"
    assert not Reviews(engine).may_see(replaced), "reviewers may see a file that was not drawn"
    for id in (changed, replaced):
        assert not audits.answer(id, rita, "cat", now)
    assert audits.waiting() == 0
