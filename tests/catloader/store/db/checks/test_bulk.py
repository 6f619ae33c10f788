"""The photos that plans of bulk work read from the table, and the verdicts that they write into it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, Row, insert, select, update

from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.checks.queue_sql import log_row
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import check_log, photos
from catloader.store.db.testing import made_up_outcome
from checker.values import INPUTS_PER_PHOTO, Claim
from tests.support.rows import add_photo, add_photos, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _rows(engine: Engine) -> Sequence[Row[Any]]:
    with reading(engine) as connection:
        return connection.execute(select(photos).order_by(photos.c.id)).all()


def _result(row: Row[Any], log: dict[str, Any]) -> dict[str, Any]:
    """Return a result of a plan for a photo that has not changed since."""
    return {
        "photo_id": row.id,
        "sha256": row.sha256,
        "old_status": row.status,
        "old_checked_at": row.checked_at,
        "log": log,
    }


def test_reviewed_photos_outside_the_bin_are_yielded_by_rising_id_with_their_verdicts(engine: Engine) -> None:
    owner = some_user(engine).id
    ids = [add_photo(engine, owner) for _ in range(4)]
    reviewed = {ids[2]: "cat", ids[0]: "not_cat", ids[3]: "cat"}
    with writing(engine) as connection:
        for id, verdict in reviewed.items():
            values = {"human_verdict": verdict, "human_verdict_at": _NOW}
            connection.execute(update(photos).where(photos.c.id == id).values(values))
        connection.execute(update(photos).where(photos.c.id == ids[3]).values(binned_at=_NOW))
    rows = [(columns[0], verdict) for columns, verdict in BulkTable(engine).reviewed()]
    assert rows == [(ids[0], "not_cat"), (ids[2], "cat")]


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": 64 * "f"},
        {"status": "unsure"},
        {"checked_at": _NOW},
        {"human_verdict": "not_cat", "human_verdict_at": _NOW},
    ],
    ids=lambda change: next(iter(change)),
)
def test_verdicts_are_written_only_to_photos_that_are_unchanged_since_the_plan(
    engine: Engine, change: dict[str, Any]
) -> None:
    same, changed = add_photos(engine, 2, status="not_cat")
    results = [_result(row, log_row(made_up_outcome(Claim(row.id, "", "", "", 1)))) for row in _rows(engine)]
    query = select(photos)
    with writing(engine) as connection:
        connection.execute(update(photos).where(photos.c.id == changed).values(change))
        before = connection.execute(query.where(photos.c.id == changed)).one()
    assert BulkTable(engine).write(results) == 1
    with reading(engine) as connection:
        assert connection.execute(query.where(photos.c.id == changed)).one() == before
        assert connection.execute(query.where(photos.c.id == same)).one().status == "cat"


def test_verdicts_of_a_plan_that_an_earlier_version_ran_are_written_with_those_of_this_one(
    engine: Engine,
) -> None:
    """A plan may be resumed after an update; the log rows of the earlier version lack the newest columns."""
    add_photos(engine, 2, status="not_cat")
    results = []
    for turned_deg, row in zip((None, 90), _rows(engine), strict=True):
        log = log_row(made_up_outcome(Claim(row.id, "", "", "", 1)))
        if turned_deg is None:
            del log["turned_deg"]
        else:
            log["turned_deg"] = turned_deg
        results.append(_result(row, log))
    assert BulkTable(engine).write(results) == 2
    with reading(engine) as connection:
        query = select(check_log.c.turned_deg).order_by(check_log.c.photo_id)
        assert connection.execute(query).scalars().all() == [None, 90]


def test_time_for_a_photo_is_the_median_over_the_checks_by_the_model(engine: Engine) -> None:
    """The forward pass is shared by the photos of its batch; the fetch runs meanwhile."""
    table, (photo,) = BulkTable(engine), add_photos(engine, 1)
    assert table.seconds_per_photo("lite0") is None
    row = {"photo_id": photo, "attempt": 1, "finished_at": _NOW, "verdict": "cat", "model": "lite0"}
    checks: list[dict[str, Any]] = [
        {"batch_size": 2 * INPUTS_PER_PHOTO, "ms": {"fetch": 900, "decode": 20, "classify": classify}}
        for classify in (10, 60, 9000)
    ]
    # An unreadable photo has no forward pass; other checks are of another model, or without a verdict.
    checks += [{"batch_size": 0, "ms": {"decode": 1}}, {"batch_size": 1, "ms": {"classify": 1}}]
    checks += [dict(checks[0], model="resnet50"), dict(checks[0], verdict=None)] * 3
    with writing(engine) as connection:
        for check in checks:
            connection.execute(insert(check_log), {**row, **check})
    assert table.seconds_per_photo("lite0") == 0.05
