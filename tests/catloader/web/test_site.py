"""All pages: headers, error pages, health, and no files from other hosts."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, insert

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import check_log
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.ports import WAKE_UP_PATH
from checker.values import Verdict
from tests.catloader.web.route_rows import ROWS
from tests.support.databases import ON_SQLITE
from tests.support.rows import add_photos
from tests.support.site import Person, check, jpeg, running_site, services_of

_OF_PHOTOS = "default-src 'none'; frame-ancestors 'none'; sandbox"


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"max_file_bytes": 100_000, "max_files": 4}


@ON_SQLITE
def test_static_files_are_cached_and_photos_run_no_scripts(app: Flask, anna: Person) -> None:
    """``test_route_matrix`` tests the headers of all other addresses."""
    photo = anna.upload_one()
    with anna.get("/static/site.css") as styles:
        assert "no-store" not in styles.headers["Cache-Control"]
        assert "Set-Cookie" not in styles.headers
    first = anna.get(f"/photos/{photo}/photo.jpg")
    again = anna.get(f"/photos/{photo}/photo.jpg", **{"If-None-Match": first.headers["ETag"]})
    for answer, status in ((first, 200), (again, 304)):
        assert answer.status_code == status
        assert answer.headers["Content-Security-Policy"] == _OF_PHOTOS
        assert "Set-Cookie" not in answer.headers


@ON_SQLITE
def test_pages_comply_with_the_content_policy(app: Flask, anna: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.CAT)
    pages = [anna.post("/photos/selected", {"photo": photo, "action": "delete"}, page="/photos").text]
    pages += [
        anna.get(path).text
        for path in (
            "/photos",
            "/upload",
            "/account",
            "/account/tokens",
            "/account/second-factor",
            "/account/passkeys",
            "/docs/api",
            f"/photos/{photo}",
            "/nix",
        )
    ]
    pages += [anna.upload(("a.jpg", b"no photo")).text]
    pages += [Person(app).get(path).text for path in ("/", "/login", "/register")]
    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert not re.search(r"""(src|href|action)=["'](https?:)?//""", page)
    static = Path(app.static_folder or "")
    for file in (*static.glob("*.css"), *static.glob("*.js")):
        assert not re.search(r"https?://", file.read_text()), file.name
    for address in {found for page in pages for found in re.findall(r'/static/[^"]+', page)}:
        with anna.get(address) as answer:
            assert answer.status_code == 200


@ON_SQLITE
def test_pages_load_less_than_150_kb(app: Flask, engine: Engine, anna: Person) -> None:
    """Counted are all uncompressed files that a page loads, without photos."""
    services_of(app).users.grant(anna.id, "admin")
    photo = anna.upload_one()
    add_photos(
        engine, 60, owner_id=anna.id, caption="Tom on the sofa, as always, in the evening", status="failed"
    )
    sizes = {}
    for row in ROWS:
        method, _, path = row.partition(" ")
        if method != "GET" or "<token>" in path:
            continue
        answer = anna.get(path.replace("<id>", str(photo)), **{"Accept-Language": "de"})
        if answer.mimetype == "text/html":
            sizes[row] = len(answer.data) + sum(_loaded(anna, answer.text).values())
        answer.close()
    assert len(sizes) > 30
    assert max(sizes.values()) < 150_000, sizes


def _loaded(person: Person, page: str) -> dict[str, int]:
    """Return address -> size in bytes of all static files that a page loads, also through other files."""
    found, left = dict[str, int](), set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    while left:
        address = left.pop()
        with person.get(address) as answer:
            found[address] = len(answer.data)
            path = address.partition("?")[0]
            text = answer.data.decode() if path.endswith((".css", ".js")) else ""
        names = re.findall(r"""(?:from "\./|url\()([\w.-]+)""", text)
        left |= {f"/static/{name}" for name in names} - set(found)
    return found


@ON_SQLITE
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nix", 404), ("DELETE", "/login", 405), ("POST", "/login", 400), ("GET", "/broken", 500)],
)
def test_errors_are_pages_or_json(own_app: Flask, method: str, path: str, status: int) -> None:
    def broken() -> str:
        raise RuntimeError("a secret of the server")

    broken.without_login = True  # type: ignore[attr-defined]
    own_app.add_url_rule("/broken", view_func=broken)
    page = own_app.test_client().open(path, method=method)
    assert (page.status_code, page.mimetype) == (status, "text/html")
    assert "<h1>" in page.text
    assert "site.css" in page.text
    assert "secret" not in page.text
    answer = own_app.test_client().open(path, method=method, headers={"Accept": "application/json"})
    assert (answer.status_code, (answer.json or {})["status"]) == (status, status)


def test_health_pages_report_all_parts(app: Flask) -> None:
    stranger = Person(app)
    assert stranger.get("/healthz").json == {"ok": True}
    ready = stranger.get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {
        "ready": True,
        "database": "ok",
        "object_store": "ok",
        "checker": {"state": "elsewhere"},
        "oldest_waiting_s": 0,
        "last_checks": "none",
    }
    assert "Set-Cookie" not in ready.headers


def test_health_reports_waiting_photos_and_failed_checks(app: Flask, engine: Engine) -> None:
    """The site stays ready in both cases, because photos can still be uploaded."""
    (photo,) = add_photos(engine, 1, now=utcnow() - timedelta(minutes=10))
    with writing(engine) as connection:
        failed = {"photo_id": photo, "attempt": 1, "finished_at": utcnow(), "error": "The GPU is lost."}
        connection.execute(insert(check_log), failed)
    ready = Person(app).get("/readyz")
    state = ready.json or {}
    assert (ready.status_code, state["ready"], state["last_checks"]) == (200, True, "all failed")
    assert 600 <= state["oldest_waiting_s"] < 1200


def test_without_the_object_store_pages_work_and_uploads_get_503(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, s3_endpoint_url="http://127.0.0.1:9") as app:
        anna = Person(app, "anna@example.org")
        ready = anna.get("/readyz")
        assert (ready.status_code, (ready.json or {})["object_store"]) == (503, "no answer")
        assert anna.get("/healthz").status_code == 200
        answer = anna.upload(("a.jpg", jpeg()))
        assert answer.status_code == 503
        assert "No photo was stored" in answer.text


def test_object_store_without_the_bucket_is_not_ready(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, s3_photos_bucket="never-made") as app:
        ready = Person(app).get("/readyz")
    assert (ready.status_code, (ready.json or {})["object_store"]) == (503, "no answer")


def test_without_the_database_pages_get_503(
    s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catloader.store.db.engine import make_engine

    monkeypatch.setenv("FLASK_DEBUG", "1")  # of another program: errors get the site's pages all the same
    gone = make_engine(f"sqlite:///{tmp_path / 'no-such-folder' / 'x.sqlite3'}")
    with running_site(gone, s3_server, objects, tmp_path) as app:
        assert not app.debug
        ready = Person(app).get("/readyz")
        assert (ready.status_code, (ready.json or {})["database"]) == (503, "no answer")
        answer = Person(app).post("/login", {"email": "anna@example.org", "password": "whatever it is"})
        assert answer.status_code == 503
        assert "Temporarily unavailable" in answer.text


def test_wake_up_endpoint_exists_only_for_internal_dispatch(
    app: Flask, engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    assert app.test_client().post(WAKE_UP_PATH).status_code == 404
    with running_site(engine, s3_server, objects, tmp_path, dispatch="internal") as internal:
        services = services_of(internal)
        body = '{"type":"photos.waiting"}'
        assert internal.test_client().post(WAKE_UP_PATH, data=body).status_code == 401
        signed = services.signer.sign(body)
        assert internal.test_client().post(WAKE_UP_PATH, data=body, headers=signed).status_code == 202
        assert internal.test_client().post(WAKE_UP_PATH, data=body, headers=signed).status_code == 401


@ON_SQLITE
def test_the_heading_of_a_404_names_what_is_missing(app: Flask) -> None:
    visitor, anna = Person(app), Person(app, "heading@example.org")
    for answer, heading in (
        (visitor.get("/nothing"), "Page not found"),
        (anna.get("/photos/987654"), "Photo not found"),
        (visitor.get("/new-password/x"), "Link expired"),
        (visitor.get("/deleted/x"), "Not found"),
        (visitor.get("/s/x"), "Not found"),
        (anna.post("/account/tokens/987654/revoke", page="/account/tokens"), "Not found"),
    ):
        assert answer.status_code == 404
        assert f"<h1>{heading}</h1>" in answer.text
