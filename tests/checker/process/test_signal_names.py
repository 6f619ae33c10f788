"""Names of signals in messages, for every signal that can end a process."""

from __future__ import annotations

import signal

from checker.process.signal_names import signal_name


def test_every_signal_has_a_name_or_a_number() -> None:
    names = {int(number): signal_name(number) for number in signal.valid_signals()}
    assert names[signal.SIGKILL] == "SIGKILL"
    assert names[signal.SIGRTMIN + 3] == f"signal {signal.SIGRTMIN + 3}"
