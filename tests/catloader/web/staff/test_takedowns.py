"""Staff take photos out of the public album. Owners read the reason and can't publish them again."""

from __future__ import annotations

import pytest
from flask import Flask

from checker.values import Verdict
from tests.support.site import Person, acts_of_staff, check, shown

_NOTE = "A face is in it. <script>alert(1)</script>"


@pytest.fixture
def public(app: Flask, anna: Person) -> int:
    photo = anna.upload_one()
    check(app, Verdict.CAT)
    anna.post(f"/photos/{photo}/publish", {"public": "yes"}, page=f"/photos/{photo}")
    return photo


def test_a_photo_is_taken_out_of_the_album_and_its_owner_reads_the_reason(
    app: Flask, anna: Person, rita: Person, public: int
) -> None:
    page, path, stranger = f"/photos/{public}", f"/review/{public}/take-down", Person(app)
    assert "Take out of the album" in rita.get(f"/album/{public}").text
    assert "Take out of the album" not in anna.get(f"/album/{public}").text
    assert rita.post(path, {"note": "  "}, page=f"/album/{public}").status_code == 400
    assert stranger.get(f"/album/{public}").status_code == 200
    answer = rita.post(path, {"note": _NOTE}, page=f"/album/{public}")
    assert (answer.status_code, answer.location) == (303, "/album")
    assert [stranger.get(one).status_code for one in (f"/album/{public}", f"{page}/photo.jpg")] == [404, 404]

    own = anna.get(page).text
    assert '<q dir="auto">A face is in it. &lt;script&gt;' in own
    assert f'action="{page}/publish"' not in own
    anna.post(f"{page}/publish", {"public": "yes"}, page=page)
    assert "so it stays private" in anna.get(page).text
    anna.post("/photos/selected", {"action": "publish", "photo": str(public)}, page="/photos")
    assert stranger.get(f"/album/{public}").status_code == 404

    listed = rita.get("/review/taken-down").text
    assert "A face is in it. &lt;script&gt;" in listed
    assert rita.get(f"{page}/thumbnail.jpg").status_code == 200
    rita.post(f"/review/{public}/allow", page="/review/taken-down")
    rita.post(f"/review/{public}/allow", page="/account")
    assert "No photo is kept out of the album." in rita.get("/review/taken-down").text
    assert "No more photos." in rita.get("/review/taken-down?before=1").text
    assert stranger.get(f"/album/{public}").status_code == 404  # only the owner can publish it again
    anna.post(f"{page}/publish", {"public": "yes"}, page=page)
    assert stranger.get(f"/album/{public}").status_code == 200
    assert [(entry.actor, entry.act, entry.target) for entry in acts_of_staff(app)] == [
        (rita.email, "allowed in the album again", f"photo {public}"),
        (rita.email, "took out of the album", f"photo {public}"),
    ]


def test_only_photos_of_the_album_are_taken_out_and_only_by_staff(
    app: Flask, anna: Person, rita: Person, public: int
) -> None:
    private = anna.upload_one()
    nothing = shown(rita.post("/review/2000000000/take-down", {"note": "x"}, page="/account"))
    answer = rita.post(f"/review/{private}/take-down", {"note": "x"}, page="/account")
    assert (answer.status_code, shown(answer)) == (404, nothing)
    for path in (f"/review/{public}/take-down", f"/review/{public}/allow"):
        assert anna.post(path, {"note": "x"}, page="/account").status_code == 404
    assert (
        rita.client.post(f"/review/{public}/take-down", data={"note": "x"}).status_code == 400
    )  # without a form token
    assert Person(app).get(f"/album/{public}").status_code == 200
    assert acts_of_staff(app) == []
