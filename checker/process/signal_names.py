"""Names of the signals that end processes."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL, or its number if it is a real-time signal without one."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
