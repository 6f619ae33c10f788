"""At most one line per minute, with the number of suppressed ones."""

from __future__ import annotations

from checker.log_limit import LogLimit, LogLimits


def test_one_message_per_minute_counts_the_others() -> None:
    now_s = 0.0
    limit = LogLimit(lambda: now_s)
    assert limit.suffix() == ""
    assert [limit.suffix() for _ in range(3)] == [None] * 3
    now_s = 60.0
    assert limit.suffix() == " (3 more not logged)"
    now_s = 200.0
    assert limit.suffix() == ""


def test_causes_are_limited_apart_and_the_oldest_of_many_is_forgotten() -> None:
    limits = LogLimits()
    assert [limits.suffix(f"{number % 256}") for number in range(512)] == [""] * 256 + [None] * 256
    assert [limits.suffix(cause) for cause in ("256", "1", "0")] == ["", None, ""]
