"""Every explanation in the object store is referenced by a row or by the deletion ledger."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from catloader.errors import StoreUnavailable
from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.explanations import Explanations
from catloader.store.db.engine import writing
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from tests.support.locks import until_it_waits
from tests.support.rows import add_photo, delete_photo, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture
def explanations(engine: Engine) -> Explanations:
    return Explanations(engine)


@pytest.fixture
def ledger(engine: Engine) -> Deletions:
    return Deletions(engine)


def _due(ledger: Deletions, now: datetime = _NOW) -> list[tuple[ObjectKind | None, str]]:
    return [(row.kind, row.key) for row in ledger.due(99, now)]


def _columns(engine: Engine, id: int) -> tuple[str | None, str | None]:
    row = Photos(engine).by_id(id)
    assert row
    return row.explanation_key, row.explanation_of


def test_keep_cancels_the_reservation(engine: Engine, explanations: Explanations, ledger: Deletions) -> None:
    photo = add_photo(engine, some_user(engine).id)
    explanations.reserve("e", _NOW + _HOUR)
    assert (_due(ledger), _due(ledger, _NOW + _HOUR)) == ([], [(ObjectKind.EXPLANATION, "e")])
    assert explanations.keep(photo, "e", "lite0", _NOW) == "e"
    assert _columns(engine, photo) == ("e", "lite0")
    assert ledger.count() == 0


def test_a_stale_explanation_becomes_due(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_photo(engine, some_user(engine).id)
    for key, of in (("old", "lite0"), ("new", "resnet50")):
        explanations.reserve(key, _NOW + _HOUR)
        assert explanations.keep(photo, key, of, _NOW) == key
    assert _columns(engine, photo) == ("new", "resnet50")
    assert _due(ledger) == [(ObjectKind.EXPLANATION, "old")]
    assert ledger.count() == 1


def test_the_first_of_two_explanations_of_one_decision_is_kept(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_photo(engine, some_user(engine).id)
    for key in ("first", "second"):
        explanations.reserve(key, _NOW + _HOUR)
    assert [explanations.keep(photo, key, "lite0", _NOW) for key in ("first", "second")] == ["first"] * 2
    assert _columns(engine, photo) == ("first", "lite0")
    assert _due(ledger) == [(ObjectKind.EXPLANATION, "second")]


def test_an_explanation_that_is_kept_at_the_same_moment_stays(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_photo(engine, some_user(engine).id)
    explanations.reserve("second", _NOW + _HOUR)
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as connection:
            values = {"explanation_key": "first", "explanation_of": "lite0"}
            connection.execute(update(photos).where(photos.c.id == photo).values(values))
            second = pool.submit(explanations.keep, photo, "second", "lite0", _NOW)
            until_it_waits(engine, second)
        assert second.result(60) == "first"
    assert _due(ledger) == [(ObjectKind.EXPLANATION, "second")]


def test_an_explanation_that_the_store_lost_is_replaced(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_photo(engine, some_user(engine).id)
    for key in ("first", "second", "third"):
        explanations.reserve(key, _NOW + _HOUR)
    assert explanations.keep(photo, "first", "lite0", _NOW) == "first"
    assert explanations.keep(photo, "second", "lite0", _NOW, lost="first") == "second"
    # A later request that missed the first one as well uses the second.
    assert explanations.keep(photo, "third", "lite0", _NOW, lost="first") == "second"
    assert sorted(_due(ledger)) == [(ObjectKind.EXPLANATION, "first"), (ObjectKind.EXPLANATION, "third")]


def test_the_explanation_of_a_replaced_or_deleted_photo_is_due(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    owner = some_user(engine).id
    photo = add_photo(engine, owner)
    explanations.reserve("former", _NOW + _HOUR)
    assert explanations.keep(photo, "former", "lite0", _NOW, photo_key="of the replaced file") is None
    assert (_columns(engine, photo), _due(ledger)) == ((None, None), [(ObjectKind.EXPLANATION, "former")])
    explanations.reserve("e", _NOW + _HOUR)
    delete_photo(engine, photo, owner, _NOW)
    assert explanations.keep(photo, "e", "lite0", _NOW) is None
    assert (ObjectKind.EXPLANATION, "e") in _due(ledger)


def test_keep_is_refused_after_its_reservation_expired(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    """The deletion worker may be deleting the object at this moment."""
    photo = add_photo(engine, some_user(engine).id)
    explanations.reserve("e", _NOW + _HOUR)
    with pytest.raises(StoreUnavailable, match="too long"):
        explanations.keep(photo, "e", "lite0", _NOW + _HOUR)
    assert _columns(engine, photo) == (None, None)
    ledger.done([row.id for row in ledger.due(9, _NOW + _HOUR)])  # it looked before the object was stored
    with pytest.raises(StoreUnavailable, match="too long"):
        explanations.keep(photo, "e", "lite0", _NOW)
    assert _due(ledger) == [(ObjectKind.EXPLANATION, "e")]


@pytest.mark.parametrize("whole_account", [False, True])
def test_an_explanation_is_deleted_with_photo_and_account(
    engine: Engine, explanations: Explanations, ledger: Deletions, whole_account: bool
) -> None:
    owner = some_user(engine).id
    photo, plain = add_photo(engine, owner), add_photo(engine, owner)
    explanations.reserve("e", _NOW + _HOUR)
    explanations.keep(photo, "e", "lite0", _NOW)
    if whole_account:
        assert Users(engine).delete(owner, _NOW) == 2
    else:
        assert all(delete_photo(engine, id, owner, _NOW) for id in (photo, plain))
    due = _due(ledger)
    assert (ObjectKind.EXPLANATION, "e") in due
    assert len(due) == 5
