"""Acts of staff and of the command line: no act is done without its row in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from catloader.errors import StoreUnavailable
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.failed_photos import FailedPhotos
from catloader.store.db.checks.model_choices import ModelChoices
from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks
from catloader.store.db.checks.switches import Switches
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import Status, audit_log, check_log, metadata
from catloader.store.db.staff.administration import Administration
from catloader.store.db.staff.audit_log import AuditLog
from catloader.store.db.staff.random_audits import RandomAudits
from catloader.store.db.staff.takedowns import Takedowns
from tests.support.rows import add_photos, some_user

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = _NOW + timedelta(hours=1)

_Act = Callable[[Engine, int, int], object]
"""Takes the id of the account that acts, or is changed, and of a photo in the album that a model decided."""

_ACTS: Mapping[str, _Act] = {
    "create an administrator": lambda e, _, __: Users(e).create("b@example.org", "h", _NOW, is_admin=True),
    "reset a password": lambda e, user, _: Users(e).reset_password(user, "new hash"),
    "grant": lambda e, user, _: Users(e).grant(user, "admin"),
    "set a role": lambda e, user, _: Administration(e).set_role(user, "admin", user, _NOW),
    "disable": lambda e, user, _: Administration(e).disable(user, user, _NOW),
    "set a quota": lambda e, user, _: Administration(e).set_quota(user, 1, 1, user, _NOW),
    "remove a factor": lambda e, user, _: SecondFactors(e).reset(user, None, _NOW),
    "invite": lambda e, _, __: OneTimeLinks(e).invite(None, _NOW, _LATER),
    "make a password link": lambda e, user, _: OneTimeLinks(e).reset(user, None, _NOW, _LATER),
    "make a token": lambda e, user, _: ApiTokens(e, most=9).add(
        "t", user, "camera", ["check"], now=_NOW, expires_at=None, by_command=True
    ),
    "pause": lambda e, user, _: Switches(e).pause(user, _NOW),
    "choose a model": lambda e, user, _: ModelChoices(e).choose(
        "resnet18", "resnet50", "chose", user, _NOW, is_loaded=True
    ),
    "check all again": lambda e, user, _: Rechecks(e).requeue(
        RecheckFilter(status=Status.FAILED), actor_id=user
    ),
    "check one again": lambda e, user, photo: FailedPhotos(e).requeue([photo + 1], user, _NOW),
    "draw": lambda e, user, _: RandomAudits(e).draw("cat", 1, user, _NOW),
    "take down": lambda e, user, photo: Takedowns(e).take_down(photo, user, "", _NOW),
}


@pytest.fixture
def prepared(engine: Engine) -> tuple[int, int]:
    """An account with a second factor, a cat that a model decided, and a failed photo after it."""
    user = some_user(engine).id
    SecondFactors(engine).set_up(user, "A" * 32, 0, ["0" * 64], _NOW)
    (photo,) = add_photos(engine, 1, status="cat", on_air=True)
    decision = {"photo_id": photo, "attempt": 1, "finished_at": _NOW, "verdict": "cat", "score": 0.9}
    with writing(engine) as connection:
        connection.execute(insert(check_log).values({**decision, "profile_id": "p"}))
    assert add_photos(engine, 1, status="failed") == [photo + 1]
    return user, photo


@pytest.fixture
def no_audit_log(engine: Engine, prepared: tuple[int, int]) -> Iterator[None]:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE audit_log RENAME TO away"))
    yield
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE away RENAME TO audit_log"))


@pytest.mark.parametrize("act", _ACTS)
def test_an_act_is_recorded(engine: Engine, prepared: tuple[int, int], act: str) -> None:
    _ACTS[act](engine, *prepared)
    assert len(AuditLog(engine).page(None, 9)) == 1


@pytest.mark.usefixtures("no_audit_log")
@pytest.mark.parametrize("act", _ACTS)
def test_an_act_that_cannot_be_recorded_changes_nothing(
    engine: Engine, prepared: tuple[int, int], act: str
) -> None:
    before = _rows(engine)
    with pytest.raises((DBAPIError, StoreUnavailable)):
        _ACTS[act](engine, *prepared)
    assert _rows(engine) == before


def _rows(engine: Engine) -> dict[str, Any]:
    with reading(engine) as connection:
        tables = [table for table in metadata.sorted_tables if table is not audit_log]
        return {table.name: sorted(map(repr, connection.execute(select(table)))) for table in tables}
