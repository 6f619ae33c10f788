"""Leases, due times and reservations use the database's clock, regardless of the clock of a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.clock import database_now, later
from catloader.store.db.engine import make_engine, reading, utcnow
from catloader.store.db.migrate import migrate
from catloader.store.db.photos.deletions import RESERVED_FOR_S, Deletions
from catloader.store.db.photos.photos import Photos
from tests.support.environ import environ_without_settings
from tests.support.rows import add_photos, some_user
from tests.support.skewed_clock import skewed_environ

_ROOT = Path(__file__).parents[4]
_LEASE_S = 60

# The work of a site and of a worker, with the parts that `wiring` builds.
_SKEWED = """
import json, sys
from catloader.settings import Settings
from catloader.store.db.engine import utcnow
from catloader.wiring import build
from checker.values import Outcome
from tests.support.rows import new_photo
services = build(Settings.from_environment(), checker=False)
queue = services.queue
kept, retried = queue.claim(2)
queue.finish([Outcome(claim=retried, error="It did not work.", retryable=True)])
new = new_photo(int(sys.argv[1]))
services.photos.reserve(new)
uploaded = services.photos.add(new)
services.photos.reserve(new_photo(new.owner_id))
print(json.dumps({
    "time": utcnow().isoformat(), "kept": kept.photo_id, "retried": retried.photo_id, "uploaded": uploaded,
    "claimed": [claim.photo_id for claim in queue.claim(9)], "next_due_s": queue.next_due_s(),
    "due_deletions": len(services.ledger.due(9)),
}))
"""


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    """SQLite's clock is that of each process, but all of them run on one machine."""
    engine = make_engine(postgres_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE users, deletions CASCADE")
    yield engine
    engine.dispose()


def _near(time: datetime | None, expected: datetime) -> bool:
    return time is not None and abs(time - expected) < timedelta(seconds=20)


@pytest.mark.parametrize("offset_s", [3600, -3600, 125])
def test_a_process_with_a_wrong_clock_neither_delays_nor_repeats_a_check(
    postgres: Engine, tmp_path: Path, offset_s: int
) -> None:
    owner = some_user(postgres).id
    (held,) = add_photos(postgres, 1, utcnow() - timedelta(seconds=5))
    queue = SqlCheckQueue(postgres, lease_s=_LEASE_S, max_attempts=3, backoff_s=10)
    assert [claim.photo_id for claim in queue.claim(9)] == [held]
    waiting = add_photos(postgres, 2, utcnow() - timedelta(seconds=5))
    environ = environ_without_settings(
        DATABASE_URL=postgres.url.render_as_string(hide_password=False),
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:1",
        AWS_ACCESS_KEY_ID="none",
        AWS_SECRET_ACCESS_KEY="none",
        CATLOADER_DATA_DIR=tmp_path,
        CATCHECK_LEASE_S=_LEASE_S,
        CATCHECK_BACKOFF_S=10,
        PYTHONPATH=_ROOT,
    )
    environ |= skewed_environ(tmp_path, offset_s)
    result = subprocess.run(
        [sys.executable, "-c", _SKEWED, str(owner)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    skewed: dict[str, Any] = json.loads(result.stdout)

    now, photos = utcnow(), Photos(postgres)
    rows = {id: photos.by_id(id) for id in (held, *waiting, skewed["uploaded"])}
    assert abs((datetime.fromisoformat(skewed["time"]) - now).total_seconds() - offset_s) < 20
    assert [skewed["kept"], skewed["retried"]] == waiting  # and not the one that another checker has claimed
    assert skewed["claimed"] == [skewed["uploaded"]]
    kept, retried, uploaded = (rows[skewed[name]] for name in ("kept", "retried", "uploaded"))
    assert kept and retried and uploaded
    assert _near(kept.lease_until, now + timedelta(seconds=_LEASE_S))
    assert _near(retried.next_attempt_at, now + timedelta(seconds=10))
    assert _near(uploaded.next_attempt_at, now)
    assert 0 < skewed["next_due_s"] <= 10
    assert skewed["due_deletions"] == 0
    reserved = timedelta(seconds=RESERVED_FOR_S)
    assert Deletions(postgres).due(9, now + reserved - timedelta(seconds=20)) == []
    assert len(Deletions(postgres).due(9, now + reserved + timedelta(seconds=20))) == 2


def test_both_databases_read_their_clock_as_utc_and_add_seconds(engine: Engine) -> None:
    with reading(engine) as connection:
        now, then = connection.execute(select(database_now(), later(database_now(), 90.25))).one()
    assert _near(now, utcnow())
    assert then - now == timedelta(seconds=90.25)
