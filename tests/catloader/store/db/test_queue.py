"""The table as a queue: nothing lost, nothing twice, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.photos import Photo, Photos
from catloader.store.db.queue import SqlCheckQueue
from catloader.store.db.schema import CHECK_LOG_COLUMNS, check_log, photos
from checker import errors as checker_errors
from checker.ports import Claim, Decision, Label, ModelInfo, Outcome, Rendition, Verdict
from tests.support.rows import PHOTOS, THUMBNAILS, add_image, add_images, some_user

_ROOT = Path(__file__).parents[4]
_START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = _START

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(engine: Engine, clock: Clock) -> SqlCheckQueue:
    return SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)


def decided(claim: Claim, verdict: Verdict = Verdict.CAT) -> Outcome:
    return Outcome(
        claim=claim,
        decision=Decision(
            verdict=verdict,
            score=0.9,
            cat_at=0.05,
            not_cat_below=0.01,
            subject="house_cat",
            profile_id="lite0-abc",
            wild_feline=False,
            labels={
                Rendition.PHOTO: (Label(281, "tabby", 0.8), Label(285, "Egyptian cat", 0.1)),
                Rendition.THUMBNAIL: (Label(282, "tiger cat", 0.7),),
            },
            subject_scores={Rendition.PHOTO: {"tabby": 0.8}, Rendition.THUMBNAIL: {"tiger cat": 0.7}},
        ),
        model_info=ModelInfo("lite0", 64 * "c", "torch", "fp32", "cpu", {"torch": "2.15.0"}),
        photo_sha256=64 * "d",
        thumbnail_sha256=64 * "e",
        batch_size=8,
        ms={"fetch": 1.5, "total": 20.25},
    )


def failed(claim: Claim, *, retryable: bool = False, unreadable: bool = False) -> Outcome:
    return Outcome(claim=claim, error="It did not work.", retryable=retryable, unreadable=unreadable)


def image(engine: Engine, id: int) -> Photo:
    found = Photos(engine, PHOTOS, THUMBNAILS).by_id(id)
    assert found
    return found


def log(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(*CHECK_LOG_COLUMNS).order_by(check_log.c.id)).all())


def test_a_claim_takes_the_oldest_due_and_nobody_else_gets_them(engine: Engine, queue: SqlCheckQueue) -> None:
    owner = some_user(engine).id
    late, early, future = (add_image(engine, owner, _START + timedelta(seconds=s)) for s in (-1, -5, 5))
    first, second = queue.claim(10)
    assert [(claim.photo_id, claim.attempt) for claim in (first, second)] == [(early, 1), (late, 1)]
    assert first.photo_key == image(engine, early).photo_key
    assert first.thumbnail_key == image(engine, early).thumbnail_key
    row = image(engine, early)
    assert (row.status, row.claim_token, row.lease_until) == (
        "checking",
        first.token,
        _START + timedelta(seconds=60),
    )
    assert list(queue.claim(10)) == []
    assert image(engine, future).status == "pending"


def test_the_limit_holds(engine: Engine, queue: SqlCheckQueue) -> None:
    add_images(engine, 5, _START)
    assert [len(queue.claim(n)) for n in (0, 2, 2, 2)] == [0, 2, 2, 1]


def test_a_verdict_and_its_log_row(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    (id,) = add_images(engine, 1, _START)
    (claim,) = queue.claim(1)
    clock.passes(2)
    assert queue.finish([decided(claim)]) == [True]
    row = image(engine, id)
    assert (row.status, row.score, row.calibrated, row.checked_at) == ("cat", 0.9, True, clock.now)
    assert (row.claim_token, row.lease_until, row.attempts, row.check_error) == (None, None, 1, None)
    record = Photos(engine, PHOTOS, THUMBNAILS).latest_log(id)
    assert record
    assert (record.verdict, record.score, record.cat_at, record.model) == ("cat", 0.9, 0.05, "lite0")
    assert (record.attempt, record.finished_at, record.batch_size) == (1, clock.now, 8)
    assert record.labels == {
        "photo": [(281, "tabby", 0.8), (285, "Egyptian cat", 0.1)],
        "thumbnail": [(282, "tiger cat", 0.7)],
    }
    assert record.subject_scores == {"photo": {"tabby": 0.8}, "thumbnail": {"tiger cat": 0.7}}
    assert (record.versions, record.ms) == ({"torch": "2.15.0"}, {"fetch": 1.5, "total": 20.25})
    assert (record.weights_sha256, record.photo_sha256) == (64 * "c", 64 * "d")
    assert queue.claim(1) == []


def test_a_batch_is_one_transaction_and_each_gets_its_own(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    ids = add_images(engine, 4, _START)
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
    assert [image(engine, id).status for id in ids] == ["checking"] * 4
    assert queue.finish(outcomes) == [False, True, True, True]
    assert [image(engine, id).status for id in ids] == ["unreadable", "cat", "checking", "pending"]
    logged = [Photos(engine, PHOTOS, THUMBNAILS).latest_log(id) for id in ids]
    assert [record and (record.verdict, record.score) for record in logged] == [
        ("unreadable", None),
        ("cat", 0.9),
        None,
        (None, None),
    ]
    assert queue.finish([]) == []


@pytest.mark.parametrize("verdict", [Verdict.CAT, Verdict.UNSURE, Verdict.NOT_CAT])
def test_every_verdict_ends_the_photo(engine: Engine, queue: SqlCheckQueue, verdict: Verdict) -> None:
    (id,) = add_images(engine, 1, _START)
    (claim,) = queue.claim(1)
    assert queue.finish([decided(claim, verdict)]) == [True]
    assert image(engine, id).status == verdict
    assert queue.next_due_s() is None


def test_a_profile_that_nobody_measured_is_marked(engine: Engine, queue: SqlCheckQueue) -> None:
    (id,) = add_images(engine, 1, _START)
    (claim,) = queue.claim(1)
    outcome = decided(claim)
    assert outcome.decision
    queue.finish([replace(outcome, decision=replace(outcome.decision, profile_id="uncalibrated"))])
    assert image(engine, id).calibrated is False


def test_a_retryable_error_waits_longer_each_time_and_then_fails(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    (id,) = add_images(engine, 1, _START)
    for attempt, wait_s in ((1, 10), (2, 20)):
        (claim,) = queue.claim(1)
        assert claim.attempt == attempt
        assert queue.finish([failed(claim, retryable=True)]) == [True]
        row = image(engine, id)
        assert (row.status, row.check_error, row.checked_at) == ("pending", "It did not work.", None)
        assert queue.next_due_s() == wait_s
        clock.passes(wait_s - 0.001)
        assert queue.claim(1) == []
        clock.passes(0.001)
    (claim,) = queue.claim(1)
    queue.finish([failed(claim, retryable=True)])
    assert (image(engine, id).status, image(engine, id).checked_at) == ("failed", clock.now)
    assert [(row.attempt, row.verdict, row.error) for row in log(engine)] == [
        (n, None, "It did not work.") for n in (1, 2, 3)
    ]


def test_the_wait_is_an_hour_at_most(engine: Engine, clock: Clock) -> None:
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=100, backoff_s=3000, now=clock)
    add_images(engine, 1, _START)
    for _ in range(3):
        (claim,) = queue.claim(1)
        queue.finish([failed(claim, retryable=True)])
        clock.passes(queue.next_due_s() or 0)
    assert clock.now == _START + timedelta(seconds=3000 + 3600 + 3600)
    (claim,) = queue.claim(1)
    queue.finish([failed(replace(claim, attempt=99), retryable=True)])
    assert queue.next_due_s() == 3600


@pytest.mark.parametrize(
    ("outcome", "status", "verdict"),
    [
        (lambda claim: failed(claim, unreadable=True), "unreadable", "unreadable"),
        (lambda claim: failed(claim, unreadable=True, retryable=True), "unreadable", "unreadable"),
        (failed, "failed", None),
    ],
)
def test_an_error_that_time_does_not_mend_is_final(
    engine: Engine,
    queue: SqlCheckQueue,
    outcome: Callable[[Claim], Outcome],
    status: str,
    verdict: str | None,
) -> None:
    (id,) = add_images(engine, 1, _START)
    (claim,) = queue.claim(1)
    assert queue.finish([outcome(claim)]) == [True]
    assert (image(engine, id).status, image(engine, id).check_error) == (status, "It did not work.")
    assert [(row.verdict, row.error) for row in log(engine)] == [(verdict, "It did not work.")]


def test_a_lease_that_ran_out_brings_the_photo_back(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    (id,) = add_images(engine, 1, _START)
    (old,) = queue.claim(1)
    clock.passes(60)
    assert queue.claim(1) == []
    assert queue.next_due_s() == 0
    clock.passes(1)
    (new,) = queue.claim(1)
    assert (new.photo_id, new.attempt) == (id, 2)
    assert new.token != old.token
    assert [(row.attempt, row.error) for row in log(engine)] == [
        (1, "The checker stopped in the middle of this photo once.")
    ]


def test_a_stale_token_writes_nothing(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    (id,) = add_images(engine, 1, _START)
    (old,) = queue.claim(1)
    clock.passes(61)
    (new,) = queue.claim(1)
    before = (image(engine, id), log(engine))
    assert queue.finish([decided(old, Verdict.NOT_CAT)]) == [False]
    assert queue.finish([failed(old, retryable=True)]) == [False]
    queue.release([old])
    assert (image(engine, id), log(engine)) == before
    assert queue.finish([decided(new)]) == [True]
    assert queue.finish([decided(new, Verdict.NOT_CAT)]) == [False]
    assert image(engine, id).status == "cat"


def test_a_photo_deleted_meanwhile_is_no_error(engine: Engine, queue: SqlCheckQueue) -> None:
    (id,) = add_images(engine, 1, _START)
    (claim,) = queue.claim(1)
    assert Photos(engine, PHOTOS, THUMBNAILS).delete(id, image(engine, id).owner_id, _START)
    assert queue.finish([decided(claim)]) == [False]
    queue.release([claim])
    assert log(engine) == []


def test_a_photo_that_kills_its_checker_fails_in_the_end(
    engine: Engine, queue: SqlCheckQueue, clock: Clock
) -> None:
    deadly, harmless = add_images(engine, 2, _START)
    for _ in range(3):
        claims = queue.claim(2)
        queue.release([claim for claim in claims if claim.photo_id == harmless])
        clock.passes(61)
    (claim,) = queue.claim(5)
    assert (claim.photo_id, claim.attempt) == (harmless, 1)
    row = image(engine, deadly)
    reason = "The checker stopped in the middle of this photo 3 times."
    assert (row.status, row.check_error, row.checked_at, row.claim_token) == (
        "failed",
        reason,
        clock.now,
        None,
    )
    assert log(engine)[-1].error == reason


def test_a_release_gives_the_attempt_back(engine: Engine, queue: SqlCheckQueue) -> None:
    ids = add_images(engine, 3, _START)
    claims = queue.claim(3)
    queue.release(claims[:2])
    assert [image(engine, id).attempts for id in ids] == [0, 0, 1]
    assert [(c.photo_id, c.attempt) for c in queue.claim(3)] == [(ids[0], 1), (ids[1], 1)]
    queue.release([])
    assert log(engine) == []


def test_a_person_has_the_last_word(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    ids = add_images(engine, 4, _START)
    by_id = {claim.photo_id: claim for claim in queue.claim(4)}
    with writing(engine) as connection:
        connection.execute(update(photos).values(human_verdict="not_cat", human_verdict_at=_START))
    assert queue.finish([decided(by_id[ids[0]])]) == [True]
    assert queue.finish([failed(by_id[ids[1]], retryable=True)]) == [True]
    queue.release([by_id[ids[2]]])
    clock.passes(61)
    assert queue.claim(4) == []
    assert [image(engine, id).status for id in ids] == ["not_cat"] * 4
    assert image(engine, ids[0]).score == 0.9


def test_verdict_and_log_row_come_together_or_not_at_all(engine: Engine, queue: SqlCheckQueue) -> None:
    (id,) = add_images(engine, 1, _START)
    (claim,) = queue.claim(1)
    before = image(engine, id)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE check_log RENAME COLUMN profile_id TO gone"))
    try:
        with pytest.raises(Exception, match="profile_id"):
            queue.finish([decided(claim)])
    finally:
        engine.dispose()  # another pooled SQLite connection may still have the old schema cached
        with writing(engine) as connection:
            connection.execute(text("ALTER TABLE check_log RENAME COLUMN gone TO profile_id"))
    assert image(engine, id) == before
    assert queue.finish([decided(claim)]) == [True]


def test_what_waits_is_counted(engine: Engine, queue: SqlCheckQueue, clock: Clock) -> None:
    assert (queue.waiting_count(), queue.next_due_s()) == (0, None)
    add_images(engine, 3, _START + timedelta(seconds=7))
    assert (queue.waiting_count(), queue.next_due_s()) == (3, 7)
    clock.passes(8)
    assert queue.next_due_s() == 0
    queue.claim(3)
    assert (queue.waiting_count(), queue.next_due_s()) == (0, 60)


def test_a_database_that_is_away_can_be_tried_again(tmp_path: Path) -> None:
    away = make_engine(f"sqlite:///{tmp_path / 'no' / 'folder.sqlite3'}")
    queue = SqlCheckQueue(away, lease_s=60, max_attempts=3, backoff_s=10)
    for use in (lambda: queue.claim(1), queue.waiting_count):
        with pytest.raises(checker_errors.StoreUnavailable) as raised:
            use()
        assert raised.value.retryable


_CLAIMER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from catloader.store.db.engine import make_engine
from catloader.store.db.queue import SqlCheckQueue
from checker.ports import Outcome
engine = make_engine(sys.argv[1])
queue = SqlCheckQueue(engine, lease_s=600, max_attempts=3, backoff_s=1)
def work(_):
    mine = []
    while claims := queue.claim(7):
        for claim in claims:
            assert queue.finish([Outcome(claim=claim, error="seen")]) == [True]
            mine.append(claim.photo_id)
    return mine
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    for mine in pool.map(work, range(4)):
        print(*mine, sep="\\n")
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


def test_many_processes_and_threads_take_every_photo_once(engine: Engine) -> None:
    ids = add_images(engine, 500)
    url = engine.url.render_as_string(hide_password=False)
    processes = [_python(_CLAIMER, url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda process: process.communicate("go\n", timeout=120), processes))
    assert [errors for _, errors in said] == [""] * 3
    taken = Counter(int(line) for output, _ in said for line in output.split())
    assert taken == Counter(ids)
    assert Counter(row.photo_id for row in log(engine)) == Counter(ids)


_VICTIM = """
import sys
from catloader.store.db.engine import make_engine
from catloader.store.db.queue import SqlCheckQueue
from checker.ports import Outcome
queue = SqlCheckQueue(make_engine(sys.argv[1]), lease_s=1, max_attempts=3, backoff_s=1)
claims = queue.claim(10)
queue.finish([Outcome(claim=claims[0], error="seen")])
print("in the middle", flush=True)
sys.stdin.readline()
"""


def test_after_kill_9_in_the_middle_every_photo_gets_its_verdict(engine: Engine, clock: Clock) -> None:
    ids = add_images(engine, 10)
    victim = _python(_VICTIM, engine.url.render_as_string(hide_password=False))
    assert victim.stdout and victim.stdout.readline() == "in the middle\n"
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    lease_until = max(filter(None, (image(engine, id).lease_until for id in ids)))
    clock.now = lease_until + timedelta(seconds=1)
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=10, now=clock)
    claims = queue.claim(100)
    assert sorted(claim.photo_id for claim in claims) == ids[1:]
    assert all(queue.finish([decided(claim)]) == [True] for claim in claims)
    assert [image(engine, id).status for id in ids] == ["failed"] + ["cat"] * 9


def _plans(engine: Engine, use: Callable[[], object]) -> str:
    """How the database would run every statement that ``use`` sends."""
    sent: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        use()
    finally:
        event.remove(engine, "before_cursor_execute", keep)
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    lines = []
    with writing(engine) as connection:
        for statement, parameters in sent:
            if statement.startswith(("SELECT", "UPDATE", "WITH")):
                rows = connection.exec_driver_sql(explain + statement, parameters).all()
                lines += [str(row[-1]) for row in rows]
    return "\n".join(lines)


def test_the_cost_of_a_claim_follows_the_backlog_not_the_archive(
    engine: Engine, queue: SqlCheckQueue
) -> None:
    add_images(engine, 5, _START)
    add_images(engine, 5000, _START, status="cat")
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


def test_only_checked_statuses_are_stored(engine: Engine) -> None:
    add_images(engine, 1, _START)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(update(photos).values(status="perhaps"))
