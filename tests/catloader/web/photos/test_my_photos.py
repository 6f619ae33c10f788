"""My photos: filters, months, search, order and pages; actions on several photos at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import available_timezones

import pytest
from flask import Flask
from sqlalchemy import Engine, event, insert, update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.texts import folded
from checker.values import Verdict
from tests.support.rows import new_photo
from tests.support.site import Person, check, services_of

_YEAR = datetime(2025, 1, 15, tzinfo=UTC)


def _add(engine: Engine, person: Person, count: int, every: timedelta = timedelta(days=1)) -> list[int]:
    """Add rows without objects, by default one per day from mid-January 2025 on; the last is the newest."""
    rows = []
    for n in range(count):
        new = new_photo(person.id, f"number {n}.")
        columns = {name: getattr(new, name) for name in new.__dataclass_fields__}
        moment = _YEAR + n * every
        status = "unsure" if n % 10 == 0 else "cat"
        times = {"created_at": moment, "next_attempt_at": moment}
        rows.append({**columns, **times, "status": status, "caption_folded": folded(new.caption)})
    with writing(engine) as connection:
        query = insert(photos).returning(photos.c.id, sort_by_parameter_order=True)
        return list(connection.execute(query, rows).scalars())


def _shown(page: str) -> list[int]:
    return [int(id) for id in re.findall(r'name="photo" value="(\d+)"', page)]


def _link(page: str, text: str) -> str:
    """Return the address of the link with this text or label."""
    (found,) = re.findall(
        rf'<a [^>]*href="([^"]+)"[^>]*?(?: aria-label="{text}"[^>]*>|[^>]*>\s*{text}\s*<)', page
    )
    return unescape(found)


def test_chips_show_counts_and_filter(app: Flask, anna: Person) -> None:
    cat, no_cat = anna.upload_one(), anna.upload_one()
    check(app, Verdict.CAT, profile_id="lite0-1")
    check(app, Verdict.NOT_CAT, profile_id="lite0-1")
    waiting = anna.upload_one()
    page = anna.get("/photos").text
    chips = re.findall(r'class="chip" href="([^"]+)"[^>]*>([^<]+) <span class="number">(\d+)<', page)
    assert [(text, number) for _, text, number in chips] == [
        ("All", "3"),
        ("Cats", "1"),
        ("Not sure", "0"),
        ("No cat", "1"),
        ("Waiting", "1"),
    ]
    addresses = {text: href for href, text, _ in chips}
    assert _shown(anna.get(addresses["Cats"]).text) == [cat]
    assert _shown(anna.get(addresses["No cat"]).text) == [no_cat]
    assert _shown(anna.get(addresses["Waiting"]).text) == [waiting]
    assert "No photos here." in anna.get(addresses["Not sure"]).text
    assert 'aria-current="true">Cats' in anna.get(addresses["Cats"]).text


def test_photos_with_an_open_appeal_are_marked_and_have_a_filter(app: Flask, anna: Person) -> None:
    appealed, other = anna.upload_one(), anna.upload_one()
    check(app, Verdict.CAT, profile_id="lite0-1")
    check(app, Verdict.CAT, profile_id="lite0-1")
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    assert "In review" not in anna.get("/photos").text
    event.remove(Engine, "before_cursor_execute", note)
    assert len([one for one in statements if "appeals" in one]) == 2, (
        "further queries look for the appeals of the page"
    )
    anna.post(f"/photos/{appealed}/appeal", {"wish": "not_cat"}, page=f"/photos/{appealed}")
    page = anna.get("/photos").text
    assert _shown(page) == [other, appealed]
    card = page[page.index(f'id="photo-{appealed}"') :]
    assert '<span class="badge mark">In review</span>' in card
    assert page.count('class="badge mark"') == 1
    german = anna.get("/photos", **{"Accept-Language": "de"}).text
    assert '<span class="badge mark">Strittig</span>' in german
    filtered = anna.get(_link(page, r'In review <span class="number">1</span>')).text
    assert _shown(filtered) == [appealed]
    assert 'aria-current="true">In review' in filtered
    anna.post(f"/photos/{appealed}/withdraw", page=f"/photos/{appealed}")
    assert "In review" not in anna.get("/photos").text
    assert "No photos here." in anna.get("/photos?show=appealed").text


@pytest.mark.parametrize("first", ["/photos", "/photos?sort=oldest"])
def test_pages_lead_forward_and_back_through_all_photos(engine: Engine, anna: Person, first: str) -> None:
    ids = _add(engine, anna, 130)
    order = ids if "oldest" in first else ids[::-1]
    forth, back = ("Newer photos", "Older photos")[:: 1 if "oldest" in first else -1]
    pages = [anna.get(first).text]
    while forth in pages[-1]:
        pages.append(anna.get(_link(pages[-1], forth)).text)
    assert [_shown(page) for page in pages] == [order[:60], order[60:120], order[120:]]
    assert back not in pages[0]
    again = anna.get(_link(pages[2], back)).text
    assert _shown(again) == order[60:120]
    assert _shown(anna.get(_link(again, back)).text) == order[:60]
    assert back not in anna.get(_link(again, back)).text


@pytest.mark.parametrize("first", ["/photos", "/photos?sort=oldest"])
def test_any_month_is_two_clicks_away(engine: Engine, anna: Person, first: str) -> None:
    ids = _add(engine, anna, 400)
    page = anna.get(first).text
    march = anna.get(_link(page, "March 2025")).text
    assert re.findall(r'<h2 class="month">([^<]+)', march)[0] == "March 2025"
    newest, oldest = ids[75], ids[45]  # the 31st and the 1st of March
    assert _shown(march)[0] == (oldest if "oldest" in first else newest)
    assert "Newer photos" in march
    assert "Older photos" in march
    assert len(re.findall(r'href="[^"]+" aria-label="\w+ 20\d\d"', page)) == 14
    chicago = int("America/Chicago" in available_timezones())  # without time zone data the site uses UTC
    for name, later in (("America/Chicago", chicago), ("Europe", 0), ("../UTC", 0), ("No/Such", 0)):
        anna.client.set_cookie("catloader_zone", name)  # like forms.js
        march = anna.get(_link(anna.get(first).text, "March 2025")).text
        assert re.findall(r'<h2 class="month">([^<]+)', march)[0] == "March 2025"
        assert _shown(march)[0] == (ids[45 + later] if "oldest" in first else ids[75 + later]), name


def test_search_keeps_the_filter_and_says_when_nothing_is_found(engine: Engine, anna: Person) -> None:
    ids = _add(engine, anna, 30)
    assert _shown(anna.get("/photos?q=NUMBER+20.").text) == [ids[20]]
    assert _shown(anna.get("/photos?q=number+0.&show=unsure").text) == [ids[20], ids[10], ids[0]]
    page = anna.get("/photos?q=<script>nothing").text
    assert "No caption contains “&lt;script&gt;nothing”." in page
    assert '<span class="number">0</span>' in page
    eve = Person(anna.app, "eve@example.org")
    assert _shown(eve.get("/photos?q=number").text) == []


def test_selected_photos_are_deleted_after_a_confirmation(app: Flask, anna: Person) -> None:
    kept, *others = [anna.upload_one(caption=f"no. {n}") for n in range(3)]
    eve = Person(app, "eve@example.org")
    foreign = eve.upload_one()
    chosen = {"photo": [*others, foreign], "next": "/photos?show=waiting"}
    ask = anna.post("/photos/selected", {**chosen, "action": "delete"}, page="/photos")
    assert "Delete 2 photos?" in ask.text
    assert f'value="{foreign}"' not in ask.text
    assert len(anna.photos) == 3
    done = anna.post("/photos/selected", {**chosen, "action": "confirm-delete"}, page="/photos")
    assert (done.status_code, done.location) == (303, "/photos?show=waiting")
    assert "2 photos deleted." in anna.get(done.location).text
    assert [photo.id for photo in anna.photos] == [kept]
    assert [photo.id for photo in eve.photos] == [foreign]
    assert services_of(app).ledger.count() == 4


def test_selected_photos_are_checked_again_unless_a_person_decided(
    app: Flask, engine: Engine, anna: Person
) -> None:
    ids = [anna.upload_one() for _ in range(3)]
    for _ in ids[:2]:
        check(app, Verdict.UNSURE)
    with writing(engine) as connection:
        decided = {"human_verdict": "cat", "status": "cat"}
        connection.execute(update(photos).where(photos.c.id == ids[1]).values(decided))
    eve = Person(app, "eve@example.org")
    eve.post("/photos/selected", {"photo": ids, "action": "check"}, page="/account")
    assert [photo.status for photo in anna.photos] == ["pending", "cat", "unsure"]
    answer = anna.post("/photos/selected", {"photo": ids, "action": "check"}, page="/photos")
    assert answer.location == "/photos"
    assert [photo.status for photo in anna.photos] == ["pending", "cat", "pending"]
    assert "1 photo will be checked again. 2 photos unchanged" in anna.get("/photos").text


def test_invalid_values_in_a_selection_are_refused_or_ignored(anna: Person) -> None:
    photo = anna.upload_one()
    for fields, status in (
        ({"action": "delete"}, 303),
        ({"action": "delete", "photo": ["x", "-1", "9" * 30, "٣"]}, 303),
        ({"action": "rename", "photo": photo}, 400),
        ({"photo": photo}, 400),
    ):
        assert anna.post("/photos/selected", fields, page="/photos").status_code == status
    away = anna.post(
        "/photos/selected", {"action": "check", "photo": photo, "next": "//evil.example/"}, page="/photos"
    )
    assert away.location == "/photos"
    without = anna.client.post("/photos/selected", data={"photo": photo, "action": "confirm-delete"})
    assert without.status_code == 400
    assert [row.id for row in anna.photos] == [photo]


def test_badges_distinguish_waiting_from_being_checked(app: Flask, anna: Person) -> None:
    anna.upload_one(), anna.upload_one()
    services_of(app).queue.claim(1)
    page = anna.get("/photos").text
    assert re.findall(r'class="badge (\w+)"[^>]*>([^<]+)', page) == [
        ("waiting", "Waiting"),
        ("checking", "Being checked"),
    ]


def test_after_a_minute_the_pages_say_that_no_checker_runs(app: Flask, engine: Engine, anna: Person) -> None:
    photo = anna.upload_one()
    pages = ("/photos", f"/photos/{photo}")
    hidden = 'id="waiting-note" role="status" hidden'
    assert all(hidden in anna.get(page).text for page in pages)
    with writing(engine) as connection:
        then = utcnow() - timedelta(seconds=61)
        connection.execute(update(photos).values(created_at=then, next_attempt_at=then))
    assert not any(hidden in anna.get(page).text for page in pages)
    status = f"/api/photos/status?ids={photo}"
    assert "The checker is not running." in (anna.get(status).json or {})["waiting_note"]
    other = Person(app, "eve@example.org").upload_one()
    with writing(engine) as connection:  # the other photo is claimed first
        connection.execute(update(photos).where(photos.c.id == other).values(next_attempt_at=_YEAR))
    claims = services_of(app).queue.claim(1)
    assert all(hidden in anna.get(page).text for page in pages)
    services_of(app).queue.release(claims)
    assert not any(hidden in anna.get(page).text for page in pages)
    assert check(app, Verdict.CAT) == other
    assert all(hidden in anna.get(page).text for page in pages)
    services_of(app).switches.pause(anna.id, utcnow())
    assert all("Checking is paused." in anna.get(path).text for path in (*pages, status)), "at once"
    services_of(app).switches.resume(anna.id, utcnow())
    assert all(hidden in anna.get(page).text for page in pages)


def test_acts_on_a_photo_lead_back_to_it_within_its_list(app: Flask, anna: Person) -> None:
    photo, other = anna.upload_one(), anna.upload_one()
    page = f"/photos/{photo}?show=waiting&sort=oldest"
    for act in ("caption", "check", "appeal", "withdraw", "publish", "unshare"):
        answer = anna.post(
            f"/photos/{photo}/{act}", {"wish": "cat"}, page=page, Referer=f"http://localhost{page}"
        )
        assert (answer.status_code, answer.location) == (303, page), act
    for sender in ("", f"/photos/{other}?show=waiting", "/photos"):
        answer = anna.post(f"/photos/{photo}/caption", page=page, Referer=f"http://localhost{sender}")
        assert answer.location == f"/photos/{photo}", sender


def test_a_deleted_photo_leads_back_to_its_list(app: Flask, anna: Person) -> None:
    photo, _ = anna.upload_one(), anna.upload_one()
    page = anna.get(f"/photos/{photo}?show=waiting&sort=oldest").text
    form = page.partition(f'action="/photos/{photo}/delete"')[2]
    found = re.search(r'name="next" value="([^"]+)"', form)
    assert found
    answer = anna.post(f"/photos/{photo}/delete", {"next": unescape(found[1])}, page="/account")
    assert answer.location.partition("#")[0] == "/photos?show=waiting&sort=oldest"


@pytest.mark.parametrize(
    ("path", "actions"),
    [
        ("/photos/selected", ("delete", "confirm-delete", "check", "publish", "unpublish")),
        ("/bin", ("delete", "confirm-delete", "restore")),
    ],
)
def test_photos_that_another_tab_has_deleted_are_not_counted_as_no_photos(
    anna: Person, path: str, actions: tuple[str, ...]
) -> None:
    photo, back = anna.upload_one(), "/photos" if path == "/photos/selected" else "/bin"
    anna.post(f"/photos/{photo}/delete", page="/account")
    anna.post("/bin", {"photo": str(photo), "action": "confirm-delete"}, page="/account")
    for action in actions:
        answer = anna.post(path, {"photo": str(photo), "action": action}, page="/account")
        assert (answer.status_code, answer.location) == (303, back), action
        page = anna.get(back).text
        assert ("The selected photos are no longer here." in page, "0 photos" in page) == (True, False), (
            action
        )
