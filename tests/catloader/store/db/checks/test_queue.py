"""Columns, transactions and query plans of the SQL queue. ``tests/checker/contract`` tests its contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.dead_rows import check_first, old_snapshot
from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import CHECK_LOG_COLUMNS, check_log, photos
from checker import errors as checker_errors
from checker.values import Rendition, Verdict
from tests.checker.contract.queue import START, Clock, decided, failed
from tests.support.locks import until_it_waits
from tests.support.rows import add_photos

_ROOT = Path(__file__).parents[5]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(engine: Engine, clock: Clock) -> SqlCheckQueue:
    return SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)


def row_of(engine: Engine, id: int) -> Photo:
    row = Photos(engine).by_id(id)
    assert row
    return row


def log(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(*CHECK_LOG_COLUMNS).order_by(check_log.c.id)).all())


def test_claim_writes_its_token_and_lease(engine: Engine, queue: SqlCheckQueue) -> None:
    (id,) = add_photos(engine, 1, START)
    (claim,) = queue.claim(10)
    row = row_of(engine, id)
    assert (row.status, row.claim_token, row.lease_until) == (
        "checking",
        claim.token,
        START + timedelta(seconds=60),
    )


def test_claim_has_the_digests_of_the_stored_bytes(engine: Engine, queue: SqlCheckQueue) -> None:
    """Without them the checker could not detect altered objects."""
    add_photos(engine, 1, START)
    with writing(engine) as connection:
        connection.execute(update(photos).values(sha256=64 * "d", thumbnail_sha256=64 * "e"))
    (claim,) = queue.claim(1)
    assert (claim.sha256(Rendition.PHOTO), claim.sha256(Rendition.THUMBNAIL)) == (64 * "d", 64 * "e")


def test_verdict_and_log_row_are_written_in_full(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    (id,) = add_photos(engine, 1, START)
    (claim,) = queue.claim(1)
    clock.advance(2)
    assert queue.finish([decided(claim)]) == [True]
    row = row_of(engine, id)
    assert (row.status, row.score, row.calibrated, row.checked_at) == ("cat", 0.9, True, clock.now)
    assert (row.claim_token, row.lease_until, row.attempts, row.check_error) == (None, None, 1, None)
    record = CheckLog(engine).latest(id)
    assert record
    assert (record.verdict, record.score, record.cat_at, record.model) == ("cat", 0.9, 0.05, "lite0")
    assert (record.attempt, record.finished_at, record.batch_size) == (1, clock.now, 8)
    assert record.turned_deg == 270
    assert record.labels == {
        "photo": [(281, "tabby", 0.8), (285, "Egyptian cat", 0.1)],
        "thumbnail": [(282, "tiger cat", 0.7)],
    }
    assert record.subject_scores == {"photo": {"tabby": 0.8}, "thumbnail": {"tiger cat": 0.7}}
    assert (record.versions, record.ms) == ({"torch": "2.15.0"}, {"fetch": 1.5, "total": 20.25})
    assert (record.weights_sha256, record.photo_sha256) == (64 * "c", 64 * "d")
    assert queue.claim(1) == []


def test_batch_is_one_transaction_and_each_outcome_gets_its_own_row(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    ids = add_photos(engine, 4, START)
    claims = {claim.photo_id: claim for claim in queue.claim(4)}
    broken, cat, gone, again = (claims[id] for id in ids)
    outcomes = [
        decided(replace(gone, token="of another checker")),
        decided(cat),
        failed(again, retryable=True),
        replace(failed(broken, retryable=False), unreadable=True),
    ]
    with pytest.raises((StatementError, TypeError)):  # nothing of it is written
        queue.finish([outcomes[2], replace(decided(cat), ms={"total": object()})])  # type: ignore[dict-item]
    assert [row_of(engine, id).status for id in ids] == ["checking"] * 4
    assert queue.finish(outcomes) == [False, True, True, True]
    assert [row_of(engine, id).status for id in ids] == ["unreadable", "cat", "checking", "pending"]
    logged = [CheckLog(engine).latest(id) for id in ids]
    assert [record and (record.verdict, record.score, record.turned_deg) for record in logged] == [
        ("unreadable", None, None),
        ("cat", 0.9, 270),
        None,
        (None, None, None),
    ]
    assert queue.finish([]) == []


def test_verdict_without_a_measured_profile_is_marked_uncalibrated(
    engine: Engine, queue: SqlCheckQueue
) -> None:
    (id,) = add_photos(engine, 1, START)
    (claim,) = queue.claim(1)
    outcome = decided(claim)
    assert outcome.decision
    queue.finish([replace(outcome, decision=replace(outcome.decision, profile_id="uncalibrated"))])
    assert row_of(engine, id).calibrated is False


def test_error_is_kept_and_checked_at_is_set_only_at_the_end(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    (id,) = add_photos(engine, 1, START)
    for wait_s in (10, 20):
        (claim,) = queue.claim(1)
        assert queue.finish([failed(claim, retryable=True)]) == [True]
        row = row_of(engine, id)
        assert (row.status, row.check_error, row.checked_at) == ("pending", "It did not work.", None)
        clock.advance(wait_s)
    (claim,) = queue.claim(1)
    queue.finish([failed(claim, retryable=True)])
    row = row_of(engine, id)
    assert (row.status, row.check_error, row.checked_at) == ("failed", "It did not work.", clock.now)


def test_unreadable_photo_keeps_its_error(engine: Engine, queue: SqlCheckQueue) -> None:
    (id,) = add_photos(engine, 1, START)
    (claim,) = queue.claim(1)
    assert queue.finish([failed(claim, unreadable=True)]) == [True]
    assert (row_of(engine, id).status, row_of(engine, id).check_error) == ("unreadable", "It did not work.")


def test_stale_token_changes_no_column(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    (id,) = add_photos(engine, 1, START)
    (old,) = queue.claim(1)
    clock.advance(61)
    queue.claim(1)
    before = (row_of(engine, id), log(engine))
    assert queue.finish([decided(old, Verdict.NOT_CAT)]) == [False]
    assert queue.finish([failed(old, retryable=True)]) == [False]
    queue.release([old])
    assert (row_of(engine, id), log(engine)) == before


def test_photo_that_crashes_its_checker_keeps_the_reason(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    (id,) = add_photos(engine, 1, START)
    for _ in range(3):
        assert queue.begin(queue.claim(1)) == [True]
        clock.advance(61)
    assert queue.claim(5) == []
    row = row_of(engine, id)
    assert (row.status, row.check_error, row.checked_at, row.claim_token) == (
        "failed",
        "The checker stopped in the middle of this photo 3 times.",
        clock.now,
        None,
    )


def test_photo_that_was_not_begun_does_not_fail_after_fewer_attempts_were_set(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    (id,) = add_photos(engine, 1, START)
    (claim,) = queue.claim(1)
    assert queue.finish([failed(claim, retryable=True)]) == [True]
    stricter = SqlCheckQueue(engine, lease_s=60, max_attempts=1, backoff_s=10, now=clock)
    clock.advance(10)
    assert len(stricter.claim(1)) == 1
    clock.advance(61)
    assert [(claim.photo_id, claim.attempt) for claim in stricter.claim(1)] == [(id, 2)]
    assert row_of(engine, id).check_error == "It did not work."


def test_claim_skips_photos_that_another_transaction_has_locked(engine: Engine, queue: SqlCheckQueue) -> None:
    if engine.dialect.name == "sqlite":  # it has no locks of rows
        return
    locked, other = add_photos(engine, 2, START)
    with ThreadPoolExecutor(1) as pool, writing(engine) as connection:
        connection.execute(select(photos.c.id).where(photos.c.id == locked).with_for_update())
        claims = pool.submit(queue.claim, 2).result(timeout=60)
    assert [claim.photo_id for claim in claims] == [other]
    claims += queue.claim(2)
    with ThreadPoolExecutor(1) as pool, writing(engine) as connection:
        connection.execute(select(photos.c.id).where(photos.c.id == locked).with_for_update())
        pool.submit(queue.renew, claims).result(timeout=60)


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)  # SQLite has no locks of rows
@pytest.mark.parametrize("write", ["begin", "finish", "release"])
def test_rows_are_locked_in_the_order_of_ids(engine: Engine, queue: SqlCheckQueue, write: str) -> None:
    """In any other order two transactions could wait for each other's rows."""
    low, high = add_photos(engine, 2, START)
    claims = sorted(queue.claim(2), key=lambda claim: claim.photo_id, reverse=True)
    with writing(engine) as connection:  # its row lies behind the other one then
        connection.execute(update(photos).where(photos.c.id == low).values(caption="later"))
    writes: dict[str, Callable[[], object]] = {
        "begin": lambda: queue.begin(claims),
        "finish": lambda: queue.finish([decided(claim) for claim in claims]),
        "release": lambda: queue.release(claims),
    }
    ids = select(photos.c.id).order_by(photos.c.id)

    def read_in_the_order_of_the_disk(connection: Connection) -> None:
        for way in ("indexscan", "bitmapscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")

    event.listen(engine, "begin", read_in_the_order_of_the_disk)
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as connection:
            connection.execute(ids.where(photos.c.id == low).with_for_update())
            written = pool.submit(writes[write])
            until_it_waits(engine, written)
            free = connection.execute(ids.with_for_update(skip_locked=True)).scalars().all()
        written.result(timeout=60)
    event.remove(engine, "begin", read_in_the_order_of_the_disk)
    assert free == [low, high]


def test_release_does_not_count_the_attempt(engine: Engine, queue: SqlCheckQueue) -> None:
    ids = add_photos(engine, 3, START)
    claims = queue.claim(3)
    queue.begin(claims)
    assert [row_of(engine, id).begun_at for id in ids] == [START] * 3
    queue.release(claims[:2])
    assert [row_of(engine, id).attempts for id in ids] == [0, 0, 1]


def test_human_verdict_outranks_every_outcome(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    ids = add_photos(engine, 4, START)
    by_id = {claim.photo_id: claim for claim in queue.claim(4)}
    with writing(engine) as connection:
        connection.execute(update(photos).values(human_verdict="not_cat", human_verdict_at=START))
    assert queue.finish([decided(by_id[ids[0]])]) == [True]
    assert queue.finish([failed(by_id[ids[1]], retryable=True)]) == [True]
    queue.release([by_id[ids[2]]])
    clock.advance(61)
    assert queue.claim(4) == []
    assert [row_of(engine, id).status for id in ids] == ["not_cat"] * 4
    assert row_of(engine, ids[0]).score == 0.9


def test_verdict_is_not_written_without_its_log_row(engine: Engine, queue: SqlCheckQueue) -> None:
    (id,) = add_photos(engine, 1, START)
    (claim,) = queue.claim(1)
    before = row_of(engine, id)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE check_log RENAME COLUMN profile_id TO gone"))
    try:
        with pytest.raises(Exception, match="profile_id"):
            queue.finish([decided(claim)])
    finally:
        engine.dispose()  # another pooled SQLite connection may still have the old schema cached
        with writing(engine) as connection:
            connection.execute(text("ALTER TABLE check_log RENAME COLUMN gone TO profile_id"))
    assert row_of(engine, id) == before
    assert queue.finish([decided(claim)]) == [True]


def test_waiting_count_includes_pending_photos_due_or_not(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    assert queue.waiting_count() == 0
    add_photos(engine, 3, START + timedelta(seconds=7))
    assert queue.waiting_count() == 3
    clock.advance(8)
    queue.claim(3)
    assert queue.waiting_count() == 0


def test_unreachable_database_is_a_retryable_error(tmp_path: Path) -> None:
    away = make_engine(f"sqlite:///{tmp_path / 'no' / 'folder.sqlite3'}")
    queue = SqlCheckQueue(away, lease_s=60, max_attempts=3, backoff_s=10)
    for use in (lambda: queue.claim(1), queue.waiting_count):
        with pytest.raises(checker_errors.StoreUnavailable) as raised:
            use()
        assert raised.value.retryable


_CLAIMER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.engine import make_engine
from catloader.store.db.checks.queue import SqlCheckQueue
from checker.values import Outcome
engine = make_engine(sys.argv[1])
queue = SqlCheckQueue(engine, lease_s=600, max_attempts=3, backoff_s=1)
def work(_):
    finished = []
    while claims := queue.claim(7):
        for claim in claims:
            assert queue.finish([Outcome(claim=claim, error="seen")]) == [True]
            finished.append(claim.photo_id)
    return finished
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    for finished in pool.map(work, range(4)):
        print(*finished, sep="\\n")
engine.dispose()
"""


def _python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_many_processes_and_threads_claim_every_photo_once(engine: Engine) -> None:
    ids = add_photos(engine, 500)
    url = engine.url.render_as_string(hide_password=False)
    processes = [_python(_CLAIMER, url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        outputs = list(pool.map(lambda process: process.communicate("go\n", timeout=120), processes))
    assert [errors for _, errors in outputs] == [""] * 3
    taken = Counter(int(line) for output, _ in outputs for line in output.split())
    assert taken == Counter(ids)
    assert Counter(row.photo_id for row in log(engine)) == Counter(ids)


_VICTIM = """
import sys
from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.engine import make_engine
from catloader.store.db.checks.queue import SqlCheckQueue
from checker.values import Outcome
queue = SqlCheckQueue(make_engine(sys.argv[1]), lease_s=1, max_attempts=3, backoff_s=1)
claims = queue.claim(10)
queue.finish([Outcome(claim=claims[0], error="seen")])
print("in the middle", flush=True)
sys.stdin.readline()
"""


def test_every_photo_gets_its_verdict_after_kill_9(engine: Engine, clock: Clock) -> None:
    ids = add_photos(engine, 10)
    victim = _python(_VICTIM, engine.url.render_as_string(hide_password=False))
    assert victim.stdout and victim.stdout.readline() == "in the middle\n"
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    lease_until = max(filter(None, (row_of(engine, id).lease_until for id in ids)))
    clock.now = lease_until + timedelta(seconds=1)
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)
    claims = queue.claim(100)
    assert sorted(claim.photo_id for claim in claims) == ids[1:]
    assert all(queue.finish([decided(claim)]) == [True] for claim in claims)
    assert [row_of(engine, id).status for id in ids] == ["failed"] + ["cat"] * 9


def _sent(engine: Engine, use: Callable[[], object]) -> list[tuple[str, Any]]:
    """Return all statements that ``use`` executes, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        use()
    finally:
        event.remove(engine, "before_cursor_execute", keep)
    return sent


def _plans(engine: Engine, use: Callable[[], object]) -> str:
    """Return the query plans of all statements that ``use`` executes."""
    sent = _sent(engine, use)
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    lines = []
    with writing(engine) as connection:
        for statement, parameters in sent:
            if statement.startswith(("SELECT", "UPDATE", "WITH")):
                rows = connection.exec_driver_sql(explain + statement, parameters).all()
                lines += [str(row[-1]) for row in rows]
    return "\n".join(lines)


def test_claim_cost_depends_on_the_backlog_not_on_finished_photos(
    engine: Engine, queue: SqlCheckQueue
) -> None:
    add_photos(engine, 5, START)
    add_photos(engine, 5000, START, status="cat")
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("ANALYZE"))
    plans = _plans(engine, lambda: queue.claim(2))
    assert "ix_images_waiting" in plans
    assert "ix_images_leased" in plans
    assert "Seq Scan on images" not in plans
    assert "SCAN images" not in plans.replace("SCAN photos USING", "")
    counting = _plans(engine, lambda: (queue.waiting_count(), queue.next_due_s()))
    assert "ix_images_waiting" in counting
    assert "Seq Scan on images" not in counting


def test_claims_of_a_backlog_read_no_dead_entries_that_an_open_transaction_preserves(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    if engine.dialect.name == "sqlite":  # it keeps no dead entries
        return
    many, most = 5000, 200
    ids = add_photos(engine, many + 40, START)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("ANALYZE images"))
    with old_snapshot(engine):
        check_first(engine, many)
        assert [claim.photo_id for claim in queue.claim(4)] == ids[many : many + 4]
        claims = queue.claim(4)
        queue.begin(claims)
        from_the_beginning = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)
        assert _buffers(engine, lambda: from_the_beginning.claim(4)) > 2 * most
        assert _buffers(engine, lambda: queue.claim(4)) < most
        assert _buffers(engine, lambda: queue.renew(claims)) < most
        assert _buffers(engine, lambda: queue.finish([decided(claim) for claim in claims])) < most


def _buffers(engine: Engine, use: Callable[[], object]) -> int:
    """Return the number of pages that PostgreSQL reads in the statements that ``use`` executes."""
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
    pages = 0
    with engine.connect() as connection:  # rolled back
        for statement, parameters in _sent(engine, use):
            if statement.startswith(("UPDATE", "WITH")):
                (plan,) = connection.exec_driver_sql(explain + statement, parameters).scalar_one()
                pages += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return pages


def test_photo_that_another_process_releases_during_a_backlog_waits_at_most_ten_seconds(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    ids = add_photos(engine, 12, START)
    other = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)
    given_back = other.claim(2)
    queue.claim(2)
    other.release(given_back)
    assert [claim.photo_id for claim in queue.claim(2)] == ids[4:6]
    clock.advance(9)
    assert [claim.photo_id for claim in queue.claim(2)] == ids[6:8]
    clock.advance(1)
    own = queue.claim(2)
    assert [claim.photo_id for claim in own] == ids[:2]
    queue.claim(2)
    queue.release(own)
    assert [claim.photo_id for claim in queue.claim(2)] == ids[:2], "its own do not wait"


def test_photos_before_a_backlog_are_claimed_if_the_rest_does_not_fill_the_claim(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    ids = add_photos(engine, 7, START)
    other = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)
    given_back, expired = other.claim(1), other.claim(1)
    clock.advance(55)
    own = queue.claim(2)
    other.release(given_back)
    clock.advance(6)
    assert [claim.photo_id for claim in queue.claim(2)] == ids[4:6]
    assert [claim.photo_id for claim in queue.claim(3)] == [ids[0], ids[6], expired[0].photo_id]
    queue.release(own)
    assert [claim.photo_id for claim in queue.claim(2)] == ids[2:4]


def test_only_checked_statuses_are_stored(engine: Engine) -> None:
    add_photos(engine, 1, START)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(update(photos).values(status="perhaps"))
