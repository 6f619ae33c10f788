"""Appeals on a photo's page, and the pages of reviewers."""

from __future__ import annotations

import io
import re

from flask import Flask

from checker.values import Verdict
from tests.support.site import Person, check, jpeg, services_of, shown

_XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_an_appeal_is_decided_and_its_owner_reads_the_reviewers_note(
    app: Flask, anna: Person, rita: Person
) -> None:
    photo = anna.upload_one()
    page = f"/photos/{photo}"
    assert "Is this wrong?" not in anna.get(page).text  # the photo is not checked yet
    check(app, Verdict.NOT_CAT, profile_id="lite0-1")
    form = anna.get(page).text
    assert "Is this wrong?" in form
    assert re.findall(r'name="wish" value="(\w+)"', form) == ["cat"], (
        "the current verdict is offered as a wish"
    )
    assert rita.get(f"{page}/photo.jpg").status_code == 404
    answer = anna.post(f"{page}/appeal", {"wish": "cat", "reason": f"Mia {_XSS}"}, page=page)
    assert (answer.status_code, answer.location) == (303, page)
    shown = anna.get(page).text
    assert "A reviewer will look at this photo" in shown
    assert "Is this wrong?" not in shown

    queue = rita.get("/review").text
    assert "1 appeal, 0 not sure." in queue
    assert "The owner says: a cat" in queue
    assert f"/photos/{photo}/photo.jpg" in queue
    assert [rita.get(f"{page}/{name}").status_code for name in ("photo.jpg", "thumbnail.jpg")] == [200, 200]
    assert rita.get(page).status_code == 404  # only the owner may see the page of the photo
    decide = {"verdict": "cat", "note": f"Indeed. {_XSS}"}
    assert rita.post(f"/review/{photo}/decide", decide, page="/review").location == "/review"
    assert "Nothing is waiting for a review." in rita.get("/review").text
    shown = anna.get(page).text
    assert "A reviewer decided: this photo shows a cat." in shown
    assert '<q dir="auto">Indeed. &lt;script&gt;' in shown
    assert "You asked for a review: it shows a cat." in shown
    assert "Checked by efficientnet_lite0: no cat, score 0.970." in shown
    for text in (queue, shown):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert anna.post(f"{page}/check", page=page).status_code == 303
    assert anna.photos[0].status == "cat"  # a checker does not overwrite the decision


def test_review_pages_do_not_exist_for_others(app: Flask, anna: Person, rita: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.UNSURE)
    nothing = shown(anna.get("/nothing"))
    for path in ("/review", f"/review/{photo}"):
        answer = anna.get(path)
        assert (answer.status_code, shown(answer)) == (404, nothing)
        assert rita.get(path).status_code == 200
    for path in (f"/review/{photo}/decide", "/review/undo"):
        assert anna.post(path, {"verdict": "cat"}, page="/account").status_code == 404
        assert rita.client.post(path, data={"verdict": "cat"}).status_code == 400  # without a form token
    assert anna.photos[0].human_verdict is None
    assert "/review" not in anna.get("/photos").text
    assert 'href="/review"' in rita.get("/photos").text
    stranger = Person(app)
    assert stranger.get("/review").status_code == 303
    assert stranger.get(f"/photos/{photo}/photo.jpg").status_code == 404
    eve = Person(app, "eve@example.org")
    for action in ("appeal", "withdraw", "check", "caption"):
        fields = {"wish": "cat", "caption": "stolen"}
        assert eve.post(f"/photos/{photo}/{action}", fields, page="/account").status_code == 404
    assert anna.photos[0].caption == ""


def test_the_note_of_an_undone_decision_need_not_be_typed_again(
    app: Flask, anna: Person, rita: Person
) -> None:
    photo = anna.upload_one()
    check(app, Verdict.UNSURE)
    note = re.compile(r'<textarea id="note"[^>]*>(.*?)</textarea>')
    for text in ("Mia & a dog", "Mia"):
        rita.post(f"/review/{photo}/decide", {"verdict": "cat", "note": text}, page="/review")
        rita.post("/review/undo", page="/review")
        pages = [rita.get(path).text for path in (f"/review/{photo}", "/review")]
        assert [note.findall(page) for page in pages] == [[text.replace("&", "&amp;")]] * 2
    other = Person(app, "otto@example.org")
    services_of(app).users.grant(other.id, "reviewer")
    assert note.findall(other.get("/review").text) == [""]


def test_an_appeal_that_is_withdrawn_after_an_undone_decision_is_in_the_history(
    app: Flask, anna: Person, rita: Person
) -> None:
    page = f"/photos/{anna.upload_one()}"
    check(app, Verdict.NOT_CAT, score=0.01)
    anna.post(f"{page}/appeal", {"wish": "cat"}, page=page)
    rita.post(f"/review/{page[8:]}/decide", {"verdict": "cat"}, page="/review")
    assert "Your request was withdrawn." not in anna.get(page).text
    rita.post("/review/undo", page="/review")
    anna.post(f"{page}/withdraw", page=page)
    anna.get(page)  # shows the message about the withdrawal
    assert "Your request was withdrawn." in anna.get(page).text


def test_an_appeal_about_a_replaced_file_is_not_called_withdrawn(app: Flask, anna: Person) -> None:
    page = f"/photos/{anna.upload_one()}"
    for _ in range(2):
        check(app, Verdict.NOT_CAT, score=0.01)
        anna.post(f"{page}/appeal", {"wish": "cat"}, page=page)
        anna.post(f"{page}/replace", {"photo": (io.BytesIO(jpeg()), "other.jpg")}, page=page)
    shown = anna.get(page).text
    assert shown.count("Your request ended, because it was about the previous file.") == 2
    assert "Your request was withdrawn." not in shown


def test_skip_and_undo_keep_the_order_of_the_queue(app: Flask, anna: Person, rita: Person) -> None:
    ids = [anna.upload_one() for _ in range(3)]
    for _ in ids:
        check(app, Verdict.UNSURE)
    first = rita.get("/review").text
    (skip,) = re.findall(r'id="skip" href="([^"]+)"', first)
    assert f"/review/{ids[0]}/decide" in first
    second = rita.get(skip).text
    assert f"/review/{ids[1]}/decide" in second
    after = skip.partition("=")[2]
    answer = rita.post(f"/review/{ids[1]}/decide", {"verdict": "not_cat", "after": after}, page="/review")
    assert answer.location == skip
    assert f"/review/{ids[2]}/decide" in rita.get(skip).text  # the first photo is still skipped
    again = rita.post(f"/review/{ids[1]}/decide", {"verdict": "cat"}, page="/review")
    assert "Nothing was changed." in rita.get(again.location).text
    (named,) = re.findall('name="decision" value="([0-9]+)"', rita.get("/review").text)
    undone = rita.post("/review/undo", {"decision": named, "after": after}, page="/review")
    assert undone.location == f"/review/{ids[1]}?after={after}"
    page = rita.get(undone.location).text
    assert f"/review/{ids[1]}/decide" in page
    assert f'name="after" value="{after}"' in page[page.index(f"/review/{ids[1]}/decide") :]
    last = f"u{ids[2]}"  # a photo after the undone one was skipped, too
    assert f'href="/review?after={last}"' in rita.get(f"/review/{ids[1]}?after={last}").text
    assert [photo.human_verdict for photo in anna.photos] == [None] * 3
    rita.post(f"/review/{ids[0]}/decide", {"verdict": "cat"}, page="/review")
    for decision in (named, "x", "9" * 30):  # the first is sent from an outdated page
        stale = rita.post("/review/undo", {"decision": decision}, page="/review")
        assert "This decision can&#39;t be undone any more." in rita.get(stale.location).text
    assert [photo.human_verdict for photo in anna.photos].count("cat") == 1
    assert "Go to the first photo" in rita.get("/review?after=u2147483647").text
    for nonsense in ("a99999999999", "x1", "u", "٣"):
        assert rita.get(f"/review?after={nonsense}").status_code == 200


def test_verdicts_and_texts_out_of_range_are_refused(app: Flask, anna: Person, rita: Person) -> None:
    photo = anna.upload_one()
    check(app, Verdict.UNSURE)
    page = f"/photos/{photo}"
    for path, fields, form in (
        (f"{page}/appeal", {"wish": "unsure"}, page),
        (f"{page}/appeal", {}, page),
        (f"{page}/appeal", {"wish": "cat", "reason": "x" * 501}, page),
        (f"{page}/appeal", {"wish": "cat", "reason": "NUL \0"}, page),
        (f"{page}/caption", {"caption": "x" * 501}, page),
        (f"{page}/caption", {"caption": "\x1b"}, page),
    ):
        assert anna.post(path, fields, page=form).status_code == 400
    for fields in ({"verdict": "failed"}, {}, {"verdict": "cat", "note": "x" * 501}):
        assert rita.post(f"/review/{photo}/decide", fields, page="/review").status_code == 400
    assert anna.post(f"{page}/appeal", {"wish": "cat", "reason": " ok\r\n"}, page=page).status_code == 303
    assert '<q dir="auto">ok</q>' in anna.get(page).text


def test_owner_edits_the_caption_and_checks_again(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(caption="Mia")
    check(app, Verdict.UNSURE)
    page = f"/photos/{photo}"
    shown = anna.get(page).text
    assert "You can ask a reviewer below to decide." in shown
    assert f'download="photo-{photo}.jpg"' in shown
    anna.post(f"{page}/caption", {"caption": f" {_XSS} "}, page=page)
    assert anna.photos[0].caption == _XSS
    assert "<img src=x" not in anna.get(page).text
    anna.post(f"{page}/check", page=page)
    assert "The photo will be checked again." in anna.get(page).text
    assert anna.photos[0].status == "pending"


def test_neighbours_follow_filter_and_order(app: Flask, anna: Person) -> None:
    ids = [anna.upload_one() for _ in range(4)]
    for verdict in (Verdict.CAT, Verdict.UNSURE, Verdict.CAT, Verdict.CAT):
        check(app, verdict)

    def links(query: str, id: int) -> dict[str, str]:
        return dict(
            re.findall(r'rel="(prev|next)" href="/photos/(\d+)', anna.get(f"/photos/{id}{query}").text)
        )

    assert links("", ids[2]) == {"prev": str(ids[3]), "next": str(ids[1])}
    assert links("?show=cat", ids[2]) == {"prev": str(ids[3]), "next": str(ids[0])}
    assert links("?show=cat&sort=oldest", ids[2]) == {"prev": str(ids[0]), "next": str(ids[3])}
    assert links("", ids[3]) == {"next": str(ids[2])}
    (back,) = re.findall(r'class="back" href="([^"]+)"', anna.get(f"/photos/{ids[1]}?show=cat").text)
    assert f'value="{ids[0]}"' in anna.get(back.replace("&amp;", "&")).text
