"""Time limits in PostgreSQL: the site's own, and those that an operator has set for its role.

A transaction that one of them ends is ``StoreUnavailable`` and tried again.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# Older servers lack some of the settings. `lock_timeout` is what the operator has set: a migration that waits
# for a lock makes all others wait behind it, but must wait for the migration of another process.
_LIFT = text(
    "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN reset_val ELSE '0' END, true) "
    "FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout', 'lock_timeout')"
)


def lift_time_limits(connection: Connection) -> None:
    """Let the current transaction take as long as it needs, as a migration or a copy of all rows does."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LIFT)
