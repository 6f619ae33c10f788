"""The counts of outcomes in the log."""

from __future__ import annotations

import logging

import pytest

from checker.tally import ERROR, Tally


def test_busy_workers_log_their_counts_every_minute_and_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "checker")
    tally = Tally()
    tally.add("cat")
    assert caplog.messages == []
    tally._since_s -= 61
    tally.add(ERROR)
    (line,) = caplog.messages
    assert line.startswith("checked 2 photos in ")
    assert line.endswith(": 1 cat, 1 error")
    tally.log()
    assert caplog.messages == [line], "nothing since then"
