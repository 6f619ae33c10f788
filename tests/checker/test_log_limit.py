"""At most one line per minute, with the number of suppressed ones."""

from __future__ import annotations

from checker.log_limit import LogLimit


def test_one_message_per_minute_counts_the_others() -> None:
    now_s = 0.0
    limit = LogLimit(lambda: now_s)
    assert limit.suffix() == ""
    assert [limit.suffix() for _ in range(3)] == [None] * 3
    now_s = 60.0
    assert limit.suffix() == " (3 more not logged)"
    now_s = 200.0
    assert limit.suffix() == ""
