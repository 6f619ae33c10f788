"""Time limits in PostgreSQL: the site's own, and those that an operator has set for its role.

A transaction that one of them ends is ``StoreUnavailable`` and tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

# Older servers lack some of the settings. `lock_timeout` is what the operator has set: a migration that waits
# for a lock makes all others wait behind it, but must wait for the migration of another process.
_LIFT = text(
    "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN reset_val ELSE '0' END, true) "
    "FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout', 'lock_timeout')"
)


def time_limits_setter(idle_s: float, lock_s: float) -> Callable[[Any, Any], None]:
    """Return the function that sets the site's own limits for a new connection."""

    def prepare(connection: Any, _record: Any) -> None:
        # Statements, since transaction poolers refuse the connection option.
        connection.autocommit = True
        connection.execute(f"SET idle_in_transaction_session_timeout = {idle_s * 1000:.0f}")
        connection.execute(
            f"SELECT set_config('lock_timeout', '{lock_s * 1000:.0f}', false) "
            "WHERE current_setting('lock_timeout') = '0'"
        )
        connection.autocommit = False

    return prepare


def lift_time_limits(connection: Connection) -> None:
    """Let the current transaction take as long as it needs, as a migration or a copy of all rows does."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LIFT)
