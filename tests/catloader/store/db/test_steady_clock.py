"""The clock that protects the bin: how long it has run evenly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from catloader.store.db.steady_clock import STEADY_S, SteadyClock


class _Clocks:
    """The two clocks of a machine; only one of them can be set."""

    def __init__(self) -> None:
        self.time, self.monotonic_s = datetime(2026, 1, 1, tzinfo=UTC), 50.0

    def run(self, seconds: float, drift_s: float = 0.0) -> None:
        self.time += timedelta(seconds=seconds + drift_s)
        self.monotonic_s += seconds


def _steady(clocks: _Clocks) -> SteadyClock:
    return SteadyClock(lambda: clocks.time, lambda: clocks.monotonic_s)


def test_an_even_clock_is_trusted_after_ten_minutes() -> None:
    clocks = _Clocks()
    steady = _steady(clocks)
    calls: list[float] = []
    for _ in range(11):
        steady.after_steady_time(lambda: calls.append(clocks.monotonic_s) or 1)  # type: ignore[func-returns-value]
        clocks.run(STEADY_S / 10, drift_s=1)
    assert calls == [50.0 + STEADY_S]


def test_a_corrected_clock_must_run_evenly_again() -> None:
    for leap_s in (-40 * 86_400.0, 40 * 86_400.0, 61.0):
        clocks = _Clocks()
        steady = _steady(clocks)
        assert steady.steady_s() == 0
        clocks.run(STEADY_S)
        assert steady.steady_s() == STEADY_S
        clocks.run(5, drift_s=leap_s)
        assert steady.steady_s() == 0
        clocks.run(30)
        assert steady.steady_s() == 30
