"""Verdicts and appeals of the API."""

from __future__ import annotations

import io
from typing import Any

from flask import Flask
from sqlalchemy import event

from catloader.store.db.engine import utcnow
from catloader.store.db.photos.exports import Exports
from checker.values import Verdict
from tests.support.programs import Program, assert_problem
from tests.support.site import Person, check, jpeg, services_of


def test_a_verdict_names_score_labels_and_model(app: Flask, program: Program) -> None:
    location = program.upload().headers["Location"]
    before = program.get(f"{location}/verdict").json
    assert before is not None
    assert (before["status"], before["score"], before["model"], before["labels"]) == (
        "pending",
        None,
        None,
        None,
    )
    assert before["turned_deg"] is None
    check(app, Verdict.CAT, turned_deg=90)
    verdict = program.get(f"{location}/verdict").json
    assert verdict is not None
    assert (verdict["status"], verdict["score"], verdict["cat_at"]) == ("cat", 0.97, 0.5)
    assert verdict["turned_deg"] == 90
    assert verdict["labels"]["photo"][0] == {"name": "tabby", "confidence": 0.71}
    assert verdict["model"]["name"] == "efficientnet_lite0"
    assert verdict["model"]["weights_sha256"] == "0" * 64
    assert verdict["ms"] == {"total": 12.5}


def test_a_rotation_is_stated_only_of_the_file_that_was_judged(
    app: Flask, anna: Person, program: Program
) -> None:
    """Otherwise a program that rotates the files by it turns those that their owner has rotated already."""
    _, rotated, replaced = ids = [anna.upload_one(jpeg((n, 2, 3))) for n in range(3)]
    for _ in ids:
        check(app, Verdict.UNSURE, turned_deg=90)

    def rotations() -> list[int | None]:
        of_api = [(program.get(f"/api/v1/photos/{id}/verdict").json or {})["turned_deg"] for id in ids]
        exported = [photo for page in Exports(services_of(app).engine).photos(anna.id) for photo in page]
        assert [(photo.id, photo.turned_deg) for photo in exported] == list(zip(ids, of_api, strict=True))
        return of_api

    assert rotations() == [90, 90, 90]
    assert services_of(app).reviews.decide(rotated, anna.id, "cat", "", utcnow())
    form = {"photo": (io.BytesIO(jpeg((9, 9, 9))), "other.jpg")}
    for id, path, data in ((rotated, "rotate", {"to": "right"}), (replaced, "replace", form)):
        assert anna.post(f"/photos/{id}/{path}", data, page=f"/photos/{id}").status_code == 303
    assert rotations() == [90, None, None]
    check(app, Verdict.UNSURE, turned_deg=270)
    assert rotations() == [90, None, 270]


def test_an_appeal_with_a_large_body_is_refused(app: Flask, program: Program) -> None:
    id = program.upload().json["id"]  # type: ignore[index]
    large = {"wish": "cat", "reason": "x" * 2_000_000}
    assert_problem(program.send("POST", f"/api/v1/photos/{id}/appeal", json=large), 413)


def test_an_appeal_is_opened_once_and_can_be_withdrawn(app: Flask, program: Program) -> None:
    location = program.upload().headers["Location"]
    path, wish = f"{location}/appeal", {"wish": "cat", "reason": "It is Tom."}
    assert "is still waiting for a check" in assert_problem(program.send("POST", path, json=wish), 409)
    check(app, Verdict.NOT_CAT, score=0.01)
    agreed = assert_problem(program.send("POST", path, json={"wish": "not_cat"}), 409)
    assert agreed == "This photo already has this verdict."
    opened = program.send("POST", path, json=wish)
    assert opened.status_code == 201
    assert opened.json is not None
    assert opened.json["reason"] == "It is Tom."
    assert "is already waiting for a reviewer" in assert_problem(program.send("POST", path, json=wish), 409)
    assert services_of(app).reviews.counts()[0] == 1
    assert program.send("DELETE", path).status_code == 204
    assert_problem(program.send("DELETE", path), 409)
    verdict = program.get(f"{location}/verdict").json
    assert verdict is not None
    assert verdict["appeal"]["closed_at"] is not None


def test_an_appeal_whose_photo_is_deleted_at_once_is_no_error(
    app: Flask, anna: Person, program: Program
) -> None:
    location = program.upload().headers["Location"]
    photo = check(app, Verdict.NOT_CAT)
    engine, before = services_of(app).engine, list[str]()

    def delete(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        before.append(statement)
        if "FROM appeals" in statement and any("INSERT INTO appeals" in text for text in before):
            before.clear()
            services_of(app).bin.put([photo], anna.id)
            services_of(app).bin.empty(anna.id)

    event.listen(engine, "before_cursor_execute", delete)
    try:
        answer = program.send("POST", f"{location}/appeal", json={"wish": "cat"})
    finally:
        event.remove(engine, "before_cursor_execute", delete)
    assert answer.status_code == 201


def test_a_reviewers_decision_is_visible(app: Flask, anna: Person, program: Program) -> None:
    location = program.upload().headers["Location"]
    photo = check(app, Verdict.UNSURE, score=0.3)
    assert services_of(app).reviews.decide(photo, anna.id, "cat", "", utcnow())
    verdict = program.get(f"{location}/verdict").json
    assert verdict is not None
    assert (verdict["status"], verdict["human_verdict"]) == ("cat", "cat")
    refused = program.send("POST", f"{location}/appeal", json={"wish": "not_cat"})
    assert assert_problem(refused, 409) == "A person has already decided about this photo."


def test_appeals_with_invalid_bodies_are_refused(app: Flask, program: Program) -> None:
    location = program.upload().headers["Location"]
    check(app, Verdict.CAT)
    path = f"{location}/appeal"
    assert "wish" in assert_problem(program.send("POST", path, json={"wish": "dog"}), 400)
    assert "on_air" in assert_problem(program.send("POST", path, json={"wish": "cat", "on_air": True}), 400)
    assert_problem(program.send("POST", path, json={"wish": "cat", "reason": "x" * 501}), 400)
    assert_problem(program.send("POST", path, {"Content-Type": "application/json"}, data="{"), 400)
    for body in ("[" * 30_000, '"cat"', "null", "[]", '{"wish": "cat"} {', '{"wish": ' + "9" * 5000 + "}"):
        answer = program.send("POST", path, {"Content-Type": "application/json"}, data=body)
        assert assert_problem(answer, 400) == "The body must be a JSON object."
    assert_problem(program.send("POST", path, {"Content-Type": "text/plain"}, data="wish=cat"), 415)
    assert_problem(program.send("POST", path), 400)
