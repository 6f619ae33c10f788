"""Two administrators who act on each other at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select, update

from catloader.errors import InvalidInput, StoreUnavailable
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import for_requests, make_engine, reading, writing
from catloader.store.db.schema import users
from catloader.store.db.staff.administration import Administration

_NOW = datetime(2026, 11, 28, tzinfo=UTC)
_Act = Callable[[Administration, int, int], None]


@pytest.mark.parametrize(
    "act",
    [
        lambda administration, id, actor: administration.set_role(id, "user", actor, _NOW),
        lambda administration, id, actor: administration.disable(id, actor, _NOW),
    ],
)
def test_two_administrators_who_demote_each_other_leave_one(engine: Engine, act: _Act) -> None:
    anna, ben = (
        Users(engine).create(f"{name}@example.org", "hash", _NOW, is_admin=True).id
        for name in ("anna", "ben")
    )
    url = engine.url.render_as_string(hide_password=False)
    impatient = for_requests(make_engine(url, lock_s=0.2), busy_s=0.2)
    with writing(engine) as connection:
        connection.execute(update(users).where(users.c.id == ben).values(is_admin=False))
        with pytest.raises(StoreUnavailable, match="lock"):  # ben's act waits for the end of anna's
            act(Administration(impatient), anna, ben)
    with pytest.raises(InvalidInput, match="At least one administrator must be left"):
        act(Administration(impatient), anna, ben)
    act(Administration(impatient), ben, anna)
    impatient.dispose()
    with reading(engine) as connection:
        left = select(users.c.id).where(users.c.is_admin, users.c.disabled_at.is_(None))
        assert connection.execute(left).scalars().all() == [anna]
