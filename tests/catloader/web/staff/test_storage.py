"""The administrators' page of storage: stored objects by owner, and the last backup."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Flask
from sqlalchemy import Engine

from catloader.store.db.engine import utcnow
from catloader.store.db.staff.audit_log import BACKED_UP
from tests.support.rows import add_photos
from tests.support.site import Person, services_of

_MB = 2**20


def _figures(page: str) -> list[str]:
    return re.findall(r"<strong>([^<]+)</strong>", page)[:4]


def test_figures_include_all_accounts(app: Flask, engine: Engine) -> None:
    administrator = Person(app, "boss@example.org")
    services_of(app).users.grant(administrator.id, "admin")
    assert _figures(administrator.get("/admin/storage").text) == ["0", "0", "0", "0"]
    add_photos(engine, 3, size_bytes=2 * _MB)
    large = add_photos(engine, 2, size_bytes=5 * _MB)
    add_photos(engine, 1, size_bytes=_MB, binned_at=utcnow())
    page = administrator.get("/admin/storage").text
    assert _figures(page) == ["6", "17.0\N{NO-BREAK SPACE}MB", "1.0\N{NO-BREAK SPACE}MB", "0"]
    sizes = [f"{number}\N{NO-BREAK SPACE}MB" for number in ("10.0", "6.0", "1.0")]
    assert re.findall(r'class="number">([^<]+)', page) == sizes
    first = re.findall(r'<a href="/admin/users/(\d+)">', page)[0]
    photo = services_of(app).photos.by_id(large[0])
    assert photo
    assert int(first) == photo.owner_id


def test_the_last_backup_is_shown_and_an_old_one_is_a_note(app: Flask) -> None:
    administrator = Person(app, "boss@example.org")
    services, now = services_of(app), utcnow()
    services.users.grant(administrator.id, "admin")
    assert "No backup of this site is known." in administrator.get("/admin/storage").text
    services.audit_log.add(None, BACKED_UP, "1 photo in /old", now - timedelta(days=8))
    page = administrator.get("/admin/storage").text
    assert "more than a week old" in page
    assert "1 photo in /old" in page
    services.audit_log.add(None, BACKED_UP, "2 photos in <b>", now)
    services.audit_log.add(administrator.id, "something else", "", now)
    page = administrator.get("/admin/storage").text
    assert "2 photos in &lt;b&gt;" in page
    assert 'role="status"' not in page
