"""My photos, read from both kinds of database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from sqlalchemy import Engine, event, insert

from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.gallery import Gallery, Position, Selection, Shown
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import Status, photos
from catloader.texts import folded, search_words
from tests.support.rows import add_appeals, add_photos, new_photo, some_user

_NOW = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)


@pytest.fixture
def gallery(engine: Engine) -> Gallery:
    return Gallery(engine)


def _add(engine: Engine, owner_id: int, *rows: tuple[datetime, str, str]) -> list[int]:
    """Add photos, given as (time, status, caption)."""
    values = []
    for created_at, status, caption in rows:
        new = new_photo(owner_id, caption)
        columns = {name: getattr(new, name) for name in new.__dataclass_fields__}
        times = {"created_at": created_at, "next_attempt_at": created_at}
        values.append({**columns, **times, "status": status, "caption_folded": folded(caption)})
    with writing(engine) as connection:
        query = insert(photos).returning(photos.c.id, sort_by_parameter_order=True)
        return list(connection.execute(query, values).scalars())


def _ids(rows: Sequence[Photo]) -> list[int]:
    return [photo.id for photo in rows]


def test_pages_are_consecutive_in_both_directions_even_for_equal_times(
    engine: Engine, gallery: Gallery
) -> None:
    owner = some_user(engine).id
    add_photos(engine, 3)
    times = [_NOW, _NOW, _NOW, _NOW + timedelta(microseconds=1), _NOW + timedelta(days=1)]
    ids = _add(engine, owner, *[(time, "cat", "") for time in times])
    newest_first, page = [], gallery.older(Selection(owner), None, 2)
    while page:
        newest_first += _ids(page)
        page = gallery.older(Selection(owner), Position(page[-1].created_at, page[-1].id), 2)
    assert newest_first == ids[::-1]
    first = gallery.newer(Selection(owner), None, 2)
    place = Position(first[-1].created_at, first[-1].id)
    then = gallery.newer(Selection(owner), place, 9)
    assert gallery.ids(Selection(owner), place, 9, newest_first=False) == _ids(then)
    assert gallery.ids(Selection(owner), place, 1, newest_first=True) == _ids(first[-2:-1])
    assert _ids([*first, *then]) == ids


def test_filters_show_the_number_of_their_photos(engine: Engine, gallery: Gallery) -> None:
    owner = some_user(engine).id
    of_others = add_photos(engine, 2)
    statuses = [*Status, Status.PENDING, Status.CAT]
    ids = _add(engine, owner, *[(_NOW + timedelta(hours=n), s, "") for n, s in enumerate(statuses)])
    add_appeals(engine, [of_others[0], ids[1], ids[4]])
    add_appeals(engine, [ids[1], ids[2]], closed_at=_NOW)
    counts = gallery.counts(owner)
    by_status = {"cat": 2, "unsure": 1, "not_cat": 1, "waiting": 3, "failed": 2}
    assert counts == {"all": 9, **by_status, "appealed": 2}
    for shown, count in counts.items():
        page = gallery.older(Selection(owner, shown), None, 99)
        assert len(page) == count
        assert _ids(page) == sorted(_ids(page), reverse=True)
    assert _ids(gallery.newer(Selection(owner, Shown.APPEALED), None, 99)) == [ids[1], ids[4]]
    assert gallery.appealed(ids[:3]) == {ids[1]}
    two = gallery.older(Selection(owner, Shown.WAITING), None, 2)
    assert [photo.status for photo in two] == ["pending", "checking"]


def test_search_finds_words_in_captions_in_any_case_and_script(engine: Engine, gallery: Gallery) -> None:
    owner = some_user(engine).id
    captions = ["", "Zoë's Straße", "ЧЕРЧИЛЛЬ the cat", "100 % wool_ball", "straw"]
    ids = _add(engine, owner, *[(_NOW, "cat", caption) for caption in captions])
    with_unsure = _add(engine, owner, (_NOW, "unsure", "zoë again"))
    found = {}
    for query in ("ZOË", "STRASSE zoë", "черчилль", "%", "_", "100 %", "s", "nothing", "\x00"):
        words = search_words(query)
        page = gallery.older(Selection(owner, words=words), None, 9)
        found[query] = sorted(_ids(page))
        assert gallery.counts(owner, words)[Shown.ALL] == len(page)
    assert found["ZOË"] == [ids[1], *with_unsure]
    assert found["STRASSE zoë"] == [ids[1]]
    assert found["черчилль"] == [ids[2]]
    assert found["%"] == found["_"] == found["100 %"] == [ids[3]]
    assert found["s"] == [ids[1], ids[4]]
    assert found["nothing"] == []
    assert len(found["\x00"]) == 6  # no word: all photos
    assert _ids(gallery.newer(Selection(owner, Shown.UNSURE, ("zoë",)), None, 9)) == with_unsure


def test_a_caption_is_found_after_it_was_changed(engine: Engine, gallery: Gallery) -> None:
    owner = some_user(engine).id
    (id,) = _add(engine, owner, (_NOW, "cat", "Mia"))
    assert Photos(engine).set_caption(id, owner + 1, "stolen") is False
    assert Photos(engine).set_caption(id, owner, "Momo") is True
    assert [_ids(gallery.older(Selection(owner, words=(word,)), None, 9)) for word in ("mia", "momo")] == [
        [],
        [id],
    ]


def test_captions_that_become_longer_when_folded_fit_into_the_index(engine: Engine, gallery: Gallery) -> None:
    owner = some_user(engine).id
    widest = ["ΐ" * 500, "\U0001f408" * 500, "﷽" * 500]
    ids = _add(engine, owner, *[(_NOW, "cat", caption) for caption in widest])
    assert _ids(gallery.older(Selection(owner, words=(folded(widest[1]),)), None, 9)) == [ids[1]]


def test_months_are_those_with_photos(engine: Engine, gallery: Gallery) -> None:
    owner = some_user(engine).id
    first = datetime(2024, 12, 1, tzinfo=UTC)
    times = [_NOW, first, first + timedelta(days=40)]
    ids = _add(engine, owner, (times[0], "cat", ""), (times[1], "unsure", ""), (times[2], "failed", ""))
    add_appeals(engine, [*ids[:2], *add_photos(engine, 1, created_at=times[2])])
    assert [f"{month:%Y-%m}" for month in gallery.months(Selection(owner))] == [
        "2026-03",
        "2025-01",
        "2024-12",
    ]
    assert [f"{m:%Y-%m}" for m in gallery.months(Selection(owner, Shown.FAILED))] == ["2025-01"]
    assert [f"{m:%Y-%m}" for m in gallery.months(Selection(owner, Shown.APPEALED))] == ["2026-03", "2024-12"]
    assert gallery.months(Selection(owner, Shown.WAITING)) == []
    chicago = timezone(timedelta(hours=-6))
    in_chicago = [gallery.months(Selection(owner, one), chicago) for one in Shown]
    assert [f"{month:%Y-%m}" for month in in_chicago[0]] == ["2026-03", "2025-01", "2024-11"]
    assert [f"{month:%Y-%m}" for month in in_chicago[-1]] == ["2026-03", "2024-11"]


@pytest.mark.skipif("America/Asuncion" not in available_timezones(), reason="the system has no time zones")
def test_a_month_may_begin_in_an_hour_that_a_clock_change_skips(engine: Engine, gallery: Gallery) -> None:
    owner = some_user(engine).id
    _add(engine, owner, (datetime(2017, 10, 5, tzinfo=UTC), "cat", ""))
    months = gallery.months(Selection(owner), ZoneInfo("America/Asuncion"))
    assert [f"{month:%Y-%m}" for month in months] == ["2017-10"]


def test_old_open_appeals_do_not_make_a_page_read_all_photos(engine: Engine, gallery: Gallery) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("the plan of SQLite does not depend on statistics")
    owner = some_user(engine).id
    _add(engine, owner, (_NOW, "cat", ""))
    add_appeals(engine, add_photos(engine, 50))
    add_photos(engine, 5000)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    with _statements(engine) as statements:
        gallery.counts(owner)
        gallery.older(Selection(owner, Shown.APPEALED), None, 60)
    of_photos = [one for one in statements if "appeals" in one[0] and "images" in one[0]]
    plans = [_plan(engine, "EXPLAIN ANALYZE", *one) for one in of_photos]
    assert len(plans) == 2
    for plan in plans:
        assert sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan))) < 1000, plan


def test_no_query_reads_or_sorts_all_photos_of_an_owner(engine: Engine, gallery: Gallery) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("SQLite tells its plan without statistics")
    owner = some_user(engine).id
    add_appeals(engine, _add(engine, owner, (_NOW, "cat", "Mia"), (_NOW, "unsure", "")))
    place = Position(_NOW, 1)
    with _statements(engine) as statements:
        for shown in Shown:
            gallery.older(Selection(owner, shown), place, 60)
            gallery.newer(Selection(owner, shown), place, 60)
            gallery.months(Selection(owner, shown))
        gallery.older(Selection(owner, words=("mia",)), place, 60)
        gallery.older(Selection(owner, Shown.APPEALED, ("mia",)), place, 60)
        gallery.ids(Selection(owner, Shown.WAITING), place, 60, newest_first=False)
        gallery.counts(owner)
        gallery.counts(owner, ("mia",))
    assert len(statements) > 20
    for statement, parameters in statements:
        steps = _plan(engine, "EXPLAIN QUERY PLAN", statement, parameters).splitlines()
        assert not any("SCAN images" in step for step in steps), (statement, steps)
        if "LIMIT ? OFFSET ?) AS anon_1" in statement:
            assert "SCAN appeals USING INDEX" in steps[1], "open appeals are counted, up to the limit"
            continue
        if "EXISTS (SELECT *" in statement and "appeals" in statement:  # fewer photos than open appeals
            assert "SEARCH appeals USING INDEX uq_appeals_open (image_id=?)" in steps, (statement, steps)
            continue
        if "appeals" in statement:  # few photos, found by their ids and sorted
            assert "SEARCH images USING INTEGER PRIMARY KEY (rowid=?)" in steps, (statement, steps)
            assert "calendar" not in statement  # it would read the open appeals again for each month
            continue
        assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps), (statement, steps)
        if "LIKE" in statement:
            assert any("COVERING INDEX ix_images_captions" in step for step in steps), steps


def test_open_appeals_of_others_are_not_read_if_the_owner_has_fewer_photos(
    engine: Engine, gallery: Gallery
) -> None:
    owner = some_user(engine).id
    add_appeals(engine, [*_add(engine, owner, (_NOW, "cat", "Mia")), *add_photos(engine, 3)])
    assert gallery.counts(owner, ("mia",))[Shown.APPEALED] == 1
    with _statements(engine) as statements:
        assert gallery.counts(owner)[Shown.APPEALED] == 1
    assert "EXISTS" in statements[-1][0]
    if engine.dialect.name == "sqlite":
        plan = _plan(engine, "EXPLAIN QUERY PLAN", *statements[-1])
        assert "SEARCH appeals" in plan
        assert "SCAN appeals" not in plan


@contextmanager
def _statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Yield the list of the queries that the block makes, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def remember(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "WITH")):
            statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", remember)
    yield statements
    event.remove(engine, "before_cursor_execute", remember)


def _plan(engine: Engine, explain: str, statement: str, parameters: Any) -> str:
    """Return the plan of a query, one step per line."""
    with reading(engine) as connection:
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "\n".join(row[-1] for row in rows)
