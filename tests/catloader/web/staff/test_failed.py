"""The administrators' list of photos without a verdict, and rechecks of one, some or all of them."""

from __future__ import annotations

import re

from flask import Flask
from sqlalchemy import Engine, update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from tests.support.rows import add_photos
from tests.support.site import Person, acts_of_staff, services_of

_AWAY = "The object store did not answer."
_STOPPED = "The checker stopped in the middle of this photo 5 times."


def _listed(page: str) -> list[int]:
    return [int(id) for id in re.findall(r'name="photo" value="(\d+)"', page)]


def _status(app: Flask, id: int) -> str:
    photo = services_of(app).photos.by_id(id)
    assert photo
    return photo.status


def test_photos_are_listed_by_their_error_and_checked_again(
    app: Flask, engine: Engine, administrator: Person
) -> None:
    away = add_photos(engine, 3, status="failed", check_error=_AWAY, attempts=5)
    (stopped,) = add_photos(engine, 1, status="failed", check_error=_STOPPED)
    (unreadable,) = add_photos(engine, 1, status="unreadable", check_error="Not <b>a</b> photo.")
    (fine,) = add_photos(engine, 1, status="cat", human_verdict="cat")
    page = administrator.get("/admin/failed").text
    assert _listed(page) == [stopped, *reversed(away)]
    kinds = re.findall(r'<li><a href="[^"]*">([^<]+)</a> <span class="number">(\d+)', page)
    assert kinds == [(_AWAY, "3"), (_STOPPED, "1")]
    (path,) = re.findall(r'<li><a href="([^"]*)">The checker stopped', page)
    assert _listed(administrator.get(path.replace("&amp;", "&")).text) == [stopped]
    other = administrator.get("/admin/failed?status=unreadable").text
    assert "No more photos." in administrator.get("/admin/failed?before=1").text
    assert _listed(other) == [unreadable]
    assert "Not &lt;b&gt;a&lt;/b&gt; photo." in other

    assert administrator.post("/admin/failed", {"one": str(away[0]), "status": "cat"}).status_code == 400
    assert _status(app, away[0]) == "failed", "a refused request set the photo back"
    administrator.post("/admin/failed", {"one": str(away[0]), "photo": [str(away[1])]})
    assert [_status(app, id) for id in away] == ["pending", "failed", "failed"]
    answer = administrator.post("/admin/failed", {"photo": [str(id) for id in (*away, fine, unreadable)]})
    assert "3 photos will be checked again." in administrator.get(answer.location).text
    assert [_status(app, id) for id in (*away, fine, unreadable)] == ["pending"] * 3 + ["cat", "pending"]
    assert [(entry.act, entry.target) for entry in acts_of_staff(app)] == [
        ("re-queued", f"photos {away[1]}, {away[2]}, {unreadable}"),
        ("re-queued", f"photo {away[0]}"),
    ]
    nothing = administrator.post("/admin/failed", {"status": "unreadable", "error": _AWAY})
    assert _listed(administrator.get(nothing.location).text) == []
    assert nothing.location.startswith("/admin/failed?status=unreadable&error=The")
    for act in ("/admin/failed", "/photos/selected", "/bin"):
        answer = administrator.post(act, page="/account")
        assert answer.status_code == 303, act
        assert "Select at least one photo first." in administrator.get(answer.location).text
    assert administrator.get("/admin/failed?status=cat").status_code == 400


def test_pages_of_failed_photos_end_and_leave_the_bin_out(
    app: Flask, engine: Engine, administrator: Person
) -> None:
    ids = add_photos(engine, 53, status="failed")
    with writing(engine) as connection:
        binned = photos.c.id == ids[0]
        connection.execute(update(photos).where(binned).values(binned_at=photos.c.created_at))
    first = administrator.get("/admin/failed").text
    (path,) = re.findall(r'href="([^"]+)" rel="next"', first)
    second = administrator.get(path.replace("&amp;", "&")).text
    assert _listed(first) + _listed(second) == sorted(ids[1:], reverse=True)
    assert 'rel="next"' not in second
    answer = administrator.post("/admin/failed", {"photo": [str(ids[0])]})
    assert "0 photos will be checked again." in administrator.get(answer.location).text
    answer = administrator.post("/admin/failed", {"photo": [str(id) for id in ids[1:]]})
    assert "50 photos will be checked again." in administrator.get(answer.location).text


def test_numbers_of_failed_photos_leave_the_bin_out(
    app: Flask, engine: Engine, administrator: Person
) -> None:
    for status in ("failed", "unreadable"):
        add_photos(engine, 2, status=status, check_error=_AWAY)
        add_photos(engine, 3, status=status, check_error=_AWAY, binned_at=utcnow())
    for path in ("/admin", "/admin/failed", "/admin/failed?status=unreadable"):
        page = administrator.get(path).text
        assert "Check 2 " in page and "Check 5 " not in page
    administrator.post("/admin/requeue", {"status": "failed"}, page="/admin")
    assert "2 photos will be checked again." in administrator.get("/admin").text
