"""Photos of the API: upload, list, read, delete; errors as problem details."""

from __future__ import annotations

import gzip
import io
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, select, update

from catloader.store.db.engine import writing
from catloader.store.db.schema import upload_keys
from catloader.web.http.request_log import HEADER
from checker.values import Verdict
from tests.support.programs import Program, assert_problem, token_of
from tests.support.site import Person, check, jpeg, services_of


def test_an_upload_gets_202_and_its_photo_can_be_read(app: Flask, program: Program, anna: Person) -> None:
    answer = program.upload()
    assert answer.status_code == 202, answer.text
    (photo,) = anna.photos
    assert answer.headers["Location"] == f"/api/v1/photos/{photo.id}"
    assert answer.json is not None
    assert answer.json["status"] == "pending"
    check(app, Verdict.CAT)
    read = program.get(answer.headers["Location"]).json
    assert read is not None
    assert (read["status"], read["score"]) == ("cat", 0.97)
    thumbnail = program.get(read["thumbnail_url"])
    assert (thumbnail.status_code, thumbnail.mimetype) == (200, "image/jpeg")
    assert program.get(read["photo_url"]).data.startswith(b"\xff\xd8\xff")


def test_a_form_contains_one_photo_and_a_caption(program: Program, anna: Person) -> None:
    form = {"photo": (io.BytesIO(jpeg()), "a.jpg"), "caption": "Tom"}
    assert program.send("POST", "/api/v1/photos", data=form).status_code == 202
    raw = program.send(
        "POST", "/api/v1/photos?caption=Kim", {"Content-Type": "application/octet-stream"}, data=jpeg()
    )
    assert raw.status_code == 202
    assert [photo.caption for photo in anna.photos] == ["Kim", "Tom"]
    two = {"a": (io.BytesIO(jpeg()), "a.jpg"), "b": (io.BytesIO(jpeg()), "b.jpg")}
    assert "one photo" in assert_problem(program.send("POST", "/api/v1/photos", data=two), 400)
    text = b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\n' + jpeg() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = program.send("POST", "/api/v1/photos", kind, data=text)  # a field without a file name
    assert "has 0 files" in assert_problem(answer, 400)


def test_a_repeated_key_gives_the_same_response_and_no_second_photo(program: Program, anna: Person) -> None:
    first, second = (program.upload(key="one") for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.headers["Location"] == second.headers["Location"]
    assert len(anna.photos) == 1
    assert "another file" in assert_problem(program.upload(jpeg((1, 2, 3)), key="one"), 422)
    assert program.upload(jpeg((1, 2, 3)), key="two").status_code == 202
    assert len(anna.photos) == 2


def test_a_key_is_free_again_after_a_day(engine: Engine, program: Program, anna: Person) -> None:
    assert program.upload(key="one").status_code == 202
    with writing(engine) as connection:
        (made_at,) = connection.execute(select(upload_keys.c.created_at)).one()
        connection.execute(update(upload_keys).values(created_at=made_at - timedelta(days=1, seconds=1)))
    assert program.upload(jpeg((1, 2, 3)), key="one").status_code == 202
    assert len(anna.photos) == 2


def test_the_key_of_a_deleted_photo_makes_no_new_one(program: Program, anna: Person) -> None:
    location = program.upload(key="one").headers["Location"]
    assert program.send("DELETE", location).status_code == 204
    assert "was deleted" in assert_problem(program.upload(key="one"), 409)
    assert anna.photos == []


def test_a_key_belongs_to_one_account(app: Flask, program: Program) -> None:
    bo = Person(app, "bo@example.org")
    other = Program(app, token_of(app, bo))
    first, second = (client.upload(key="one") for client in (program, other))
    assert first.headers["Location"] != second.headers["Location"]
    assert len(bo.photos) == 1


def test_uploads_with_one_key_at_the_same_time_make_one_photo(app: Flask, anna: Person) -> None:
    token, start = token_of(app, anna), threading.Barrier(2)

    def send(_: int) -> tuple[int, str | None]:
        program = Program(app, token)
        start.wait(10)
        answer = program.upload(key="one")
        return answer.status_code, answer.headers.get("Location")

    with ThreadPoolExecutor(2) as pool:
        answers = set(pool.map(send, range(2)))
    assert answers == {(202, f"/api/v1/photos/{anna.photos[0].id}")}
    assert len(anna.photos) == 1


def test_pages_lead_through_all_photos(program: Program) -> None:
    ids = [int(program.upload().headers["Location"].rpartition("/")[2]) for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = program.get(f"/api/v1/photos?limit=2&cursor={cursor}").json
        assert page is not None
        seen += [photo["id"] for photo in page["photos"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == ids[::-1]
    waiting = program.get("/api/v1/photos?show=waiting").json
    assert waiting is not None
    assert len(waiting["photos"]) == 5


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1&limit=2", "cursor=nix", "show=nix"])
def test_a_wrong_query_is_refused_in_one_sentence(program: Program, query: str) -> None:
    sentence = assert_problem(program.get(f"/api/v1/photos?{query}"), 400)
    assert query.partition("=")[0] in sentence
    assert not re.search(
        r"[\\^$\[]|parse|string|integer", sentence
    )  # the sentence must not contain a regular expression or Python types


def test_wrong_fields_and_headers_are_refused_in_words(program: Program) -> None:
    location = program.upload().headers["Location"]
    for wrong in ({"wish": 1}, {"wish": "cat", "reason": 5}, {"wish": "cat", "reason": "x" * 501}, {}):
        sentence = assert_problem(program.send("POST", f"{location}/appeal", json=wrong), 400)
        assert re.match("wish: |reason: ", sentence)
        assert not re.search(r"[sS]tring|parse|integer", sentence), sentence
    surrogate = {"Content-Type": "application/json"}
    answer = program.send("POST", f"{location}/appeal", surrogate, data=rb'{"wish":"cat","reason":"\ud800"}')
    assert assert_problem(answer, 400) == "reason: Input should be Unicode text."
    sentence = assert_problem(program.upload(key="x" * 256), 400)
    assert sentence == "Idempotency-Key: Input should have at most 255 characters."


def test_an_unchanged_resource_is_not_sent_again(app: Flask, program: Program) -> None:
    location = program.upload().headers["Location"]
    for path in (location, f"{location}/verdict", f"{location}/photo.jpg", "/api/v1/photos"):
        first = program.get(path)
        assert first.status_code == 200, path
        again = program.get(path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b""), path
        for condition in ("*", '"another"'):  # If-Match is for changes, so reading ignores it
            assert program.get(path, **{"If-Match": condition}).status_code == 200, path
    etag = program.get(location).headers["ETag"]
    check(app, Verdict.NOT_CAT, score=0.01)
    assert program.get(location, **{"If-None-Match": etag}).status_code == 200


def test_a_head_request_gets_no_body(program: Program) -> None:
    location = program.upload().headers["Location"]
    for path in (location, f"{location}/photo.jpg"):
        answer = program.send("HEAD", path)
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["ETag"]
        assert answer.headers.get("Content-Length") != "0"


def test_a_deleted_photo_is_gone(program: Program) -> None:
    location = program.upload().headers["Location"]
    assert program.send("DELETE", location).status_code == 204
    assert_problem(program.get(location), 404)
    assert_problem(program.send("DELETE", location), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/verdict"),
        ("GET", "/photo.jpg"),
        ("GET", "/thumbnail.jpg"),
        ("DELETE", ""),
        ("POST", "/appeal"),
        ("DELETE", "/appeal"),
    ],
)
def test_a_photo_of_another_account_looks_like_a_missing_one(
    app: Flask, program: Program, method: str, path: str
) -> None:
    address = program.upload().headers["Location"]
    check(app, Verdict.CAT)
    stranger = Program(app, token_of(app, Person(app, "bo@example.org")))
    body = {"json": {"wish": "cat"}} if path == "/appeal" and method == "POST" else {}
    foreign = stranger.send(method, address + path, **body)
    missing = stranger.send(method, "/api/v1/photos/999" + path, **body)
    assert_problem(foreign, 404)
    for response in (foreign, missing):
        del response.headers[HEADER]
    assert (foreign.data, sorted(foreign.headers)) == (missing.data, sorted(missing.headers))


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"no photo", "image/jpeg", 415),
        (b"", "image/jpeg", 400),
        (jpeg()[:300], "image/jpeg", 422),
        (b"x" * 100_001, "image/jpeg", 413),
        (b"x" * 1_000_000, "image/jpeg", 413),
        (jpeg(), "application/x-www-form-urlencoded", 415),
        (jpeg(), "", 415),
    ],
)
def test_bad_uploads_get_problem_details(program: Program, data: bytes, kind: str, status: int) -> None:
    assert_problem(program.upload(data, kind=kind), status)


@pytest.mark.parametrize("path", ["/api/v1/photos", "/api/v1/check"])
def test_the_refusal_of_a_large_file_names_the_limit(program: Program, path: str) -> None:
    answer = program.send("POST", path, data=b"x" * 1_000_000, headers={"Content-Type": "image/jpeg"})
    assert assert_problem(answer, 413) == "This file is larger than 97 kB."


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "video/mp4"])
def test_the_refusal_of_a_content_type_names_the_accepted_ones(program: Program, kind: str) -> None:
    assert assert_problem(program.upload(jpeg(), kind=kind), 415) == (
        "The header Content-Type must be image/* or application/octet-stream or multipart/form-data."
    )


@pytest.mark.parametrize("path", ["/api/v1/photos", "/api/v1/check", "/api/v1/photos/1/appeal"])
def test_a_compressed_body_is_refused_as_such(program: Program, path: str) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    answer = program.send("POST", path, headers, data=gzip.compress(jpeg()))
    sentence = "Content-Encoding: gzip is not accepted; send plain bytes."
    assert assert_problem(answer, 415) == sentence
    assert program.upload(jpeg(), kind="image/jpeg").status_code == 202


def _refusals(app: Flask) -> Counter[str]:
    """Return the number of refusals so far, by reason."""
    (family,) = services_of(app).metrics.refusals.collect()
    totals = (sample for sample in family.samples if sample.name.endswith("_total"))
    return Counter({sample.labels["reason"]: int(sample.value) for sample in totals})


def test_a_refused_upload_is_counted_once_by_its_reason(app: Flask, program: Program) -> None:
    before = _refusals(app)
    assert_problem(program.upload(b"no photo"), 415)
    assert _refusals(app) - before == {"not_an_image": 1}


def test_errors_of_the_router_are_problem_details(app: Flask, program: Program) -> None:
    assert_problem(program.get("/api/v1/nix"), 404)
    assert_problem(program.get("/api/nix"), 404)
    assert_problem(program.get("/api"), 404)
    answer = program.send("PUT", "/api/v1/photos")
    assert_problem(answer, 405)
    assert "POST" in answer.headers["Allow"]
    assert_problem(Person(app).get("/api/form"), 401)


def test_a_server_error_is_a_problem_without_internal_details(own_app: Flask) -> None:
    def broken() -> str:
        raise RuntimeError("a secret of the server")

    broken.without_login = True  # type: ignore[attr-defined]
    own_app.add_url_rule("/api/v1/broken", view_func=broken)
    assert "secret" not in assert_problem(Program(own_app).get("/api/v1/broken"), 500)
