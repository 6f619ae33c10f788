"""Counted attempts, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from catloader.store.db.accounts.attempts import Attempts, Rate
from catloader.store.db.engine import make_engine, reading
from catloader.store.db.schema import attempts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEN = [Rate(10, 900)]


@pytest.fixture
def store(engine: Engine) -> Attempts:
    return Attempts(engine)


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_no_window_exceeds_the_rate(store: Attempts) -> None:
    # Ten at the end of a quarter of an hour, and many more in the following ones.
    asked = [*range(800, 900, 10), *range(900, 3600, 20)]
    allowed = [s for s in asked if store.reserve({"ada": TEN}, _at(s)) is None]
    assert len(allowed) == 35  # ten each from 800, 1700 and 2600 on, five from 3500 on
    assert all(sum(start <= s < start + 900 for s in allowed) <= 10 for start in range(3600))


def test_the_wait_is_the_time_until_the_next_attempt_is_allowed(store: Attempts) -> None:
    for second in range(10):
        assert store.reserve({"ada": TEN}, _at(second)) is None
    assert store.reserve({"ada": TEN}, _at(10)) == 890
    assert store.reserve({"ada": TEN}, _at(899.5)) == 1
    assert store.reserve({"ada": TEN}, _at(900)) is None
    assert store.reserve({"ada": TEN}, _at(900)) == 1


def test_all_rates_of_all_keys_must_allow_an_attempt_and_a_refusal_counts_under_no_key(
    store: Attempts,
) -> None:
    network = [Rate(2, 60), Rate(3, 3600)]
    assert store.reserve({"net": network, "ada": TEN}, _at(0)) is None
    assert store.reserve({"net": network, "bob": TEN}, _at(0)) is None
    assert store.reserve({"net": network, "ada": TEN}, _at(1)) == 59
    assert store.reserve({"net": network, "ada": TEN}, _at(61)) is None
    assert store.reserve({"net": network, "ada": TEN}, _at(200)) == 3400
    assert [store.reserve({"ada": TEN}, _at(300)) for _ in range(9)] == [None] * 8 + [600]


def test_a_cancelled_attempt_does_not_count(store: Attempts) -> None:
    for second in range(40):
        assert store.reserve({"ada": TEN}, _at(second)) is None
        if second > 8:
            store.cancel("ada", _at(second))
    store.cancel("ada", _at(3000))
    store.cancel("nobody", _at(0))
    assert store.reserve({"ada": TEN}, _at(50)) is None
    assert store.reserve({"ada": TEN}, _at(51)) is not None


def test_many_processes_together_keep_the_rate(engine: Engine) -> None:
    # One engine per thread, as processes have; on PostgreSQL all of them insert the first row of a key at
    # once.
    engines = [make_engine(engine.url.render_as_string(hide_password=False)) for _ in range(8)]
    start = threading.Barrier(8)

    def guess(own: Engine) -> int:
        start.wait()
        rates = {"ada": TEN, "net": [Rate(100, 900)]}
        return sum(Attempts(own).reserve(rates, NOW) is None for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(guess, engines)) == 10
    for own in engines:
        own.dispose()


def test_rows_are_deleted_once_they_no_longer_count(engine: Engine, store: Attempts) -> None:
    for n in range(20):
        store.reserve({f"account {n}": TEN}, NOW)
    store.reserve({"ada": TEN}, _at(901))
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(attempts)).scalar_one() == 1


def test_attempts_of_a_clock_that_was_years_ahead_do_not_count(engine: Engine, store: Attempts) -> None:
    then = datetime(2038, 1, 20, tzinfo=UTC)
    assert [store.reserve({"ada": TEN}, then) for _ in range(11)] == [None] * 10 + [900]
    assert [store.reserve({"ada": TEN}, NOW) for _ in range(11)] == [None] * 10 + [900]
    with reading(engine) as connection:
        assert len(connection.execute(select(attempts.c.times)).scalar_one()) == 10


def test_rows_of_a_clock_that_was_years_ahead_are_deleted_and_current_rows_are_kept(
    engine: Engine, store: Attempts
) -> None:
    store.reserve({"ada": TEN}, datetime(2038, 1, 20, tzinfo=UTC), 900)
    store.reserve({"bob": TEN}, _at(899), 900)  # by a process whose clock is ahead
    store.reserve({"cleo": TEN}, NOW, 900)
    with reading(engine) as connection:
        assert set(connection.execute(select(attempts.c.key)).scalars()) == {"bob", "cleo"}


def test_attempts_counted_by_a_process_whose_clock_is_ahead_count(store: Attempts) -> None:
    assert [store.reserve({"ada": TEN}, _at(125)) for _ in range(5)] == [None] * 5
    assert [store.reserve({"ada": TEN}, _at(0)) for _ in range(6)] == [None] * 5 + [900]
