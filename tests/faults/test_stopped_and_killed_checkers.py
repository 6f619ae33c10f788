"""Checkers that are stopped for longer than their lease or killed by a photo; each photo gets one outcome."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, update

from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import check_log, photos
from checker.values import Claim, Rendition, Verdict
from tests.checker.contract.queue import decided
from tests.faults.checker_process import MAX_ATTEMPTS, stored
from tests.support.rows import add_photos

_ROOT = Path(__file__).parents[2]
_LEASE_S = 3.0


def _checker(engine: Engine, poisoned_id: int = 0, lease_s: float = _LEASE_S) -> subprocess.Popen[str]:
    url = engine.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.checker_process", url, str(lease_s), str(poisoned_id)],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _photos(engine: Engine, count: int) -> list[int]:
    """Add photos whose rows contain the digests of the bytes that the checker process will read."""
    ids = add_photos(engine, count)
    with writing(engine) as connection:
        for id in ids:
            photo, thumbnail = (hashlib.sha256(stored(id, rendition)).hexdigest() for rendition in Rendition)
            digests = {"sha256": photo, "thumbnail_sha256": thumbnail}
            connection.execute(update(photos).where(photos.c.id == id).values(**digests))
    return ids


def _rows(engine: Engine, *columns: Any) -> list[tuple[Any, ...]]:
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]


def _wait_for(claim: Callable[[], list[Claim]], timeout_s: float) -> list[Claim]:
    """Call ``claim`` until it returns claims, or until the time is over."""
    waiting = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if claims := claim():
            return claims
        waiting.wait(0.05)
    return []


def test_slow_photo_keeps_its_lease_and_a_checker_stopped_for_longer_writes_nothing(engine: Engine) -> None:
    """A running checker renews its claim. When it is stopped, another checker gets the photo."""
    (id,) = _photos(engine, 1)
    other = SqlCheckQueue(engine, lease_s=60, max_attempts=MAX_ATTEMPTS, backoff_s=0)
    with _checker(engine) as stopped:
        assert stopped.stdout and stopped.stdin
        assert stopped.stdout.readline() == f"decoding {id}\n"
        assert _wait_for(lambda: other.claim(9), 1.5 * _LEASE_S) == []
        stopped.send_signal(signal.SIGSTOP)
        (claim,) = _wait_for(lambda: other.claim(9), 60)
        assert (claim.photo_id, claim.attempt) == (id, 2)
        stopped.send_signal(signal.SIGCONT)
        stopped.stdin.write("\n")
        stopped.stdin.flush()
        assert stopped.stdout.readline() == "checked 0\n"
        assert stopped.wait(60) == 0
    assert _rows(engine, photos.c.status) == [("checking",)]
    assert other.finish([decided(claim, Verdict.NOT_CAT)]) == [True]
    assert _rows(engine, check_log.c.attempt, check_log.c.verdict) == [(1, None), (2, "not_cat")]


def test_photo_that_kills_its_checker_fails_alone(engine: Engine) -> None:
    """Photos of the same batch lose one attempt at most: a photo that has failed once is decoded alone."""
    ids = _photos(engine, 7)
    poisoned = ids[1]
    kills = 0
    for _ in range(10 * MAX_ATTEMPTS):
        with _checker(engine, poisoned, lease_s=1.0) as checker:
            checker.communicate(timeout=60)
        kills += checker.returncode == -signal.SIGKILL
        if ("pending",) not in (left := _rows(engine, photos.c.status)) and ("checking",) not in left:
            break
    assert kills == MAX_ATTEMPTS
    assert _rows(engine, photos.c.id, photos.c.status) == [
        (id, "failed" if id == poisoned else "cat") for id in ids
    ]
    attempts = dict(_rows(engine, photos.c.id, photos.c.attempts))
    assert [attempts[id] for id in ids] == [2, MAX_ATTEMPTS, 2, 1, 1, 1, 1]
