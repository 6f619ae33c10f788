"""Time limits in PostgreSQL: those of the site, and those that an operator has set for the site's role.

A transaction that exceeds a limit fails with ``StoreUnavailable`` and is retried.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# Selected from pg_settings, because older servers lack some of the settings. `lock_timeout` returns to the
# operator's value: all other transactions wait behind a migration that waits for a lock. The site's shorter
# limit must not apply, because a migration waits for that of another process.
_LIFT = text(
    "SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN reset_val ELSE '0' END, true) "
    "FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout', 'lock_timeout', "
    "'idle_in_transaction_session_timeout')"
)


def lift_time_limits(connection: Connection) -> None:
    """Let the current transaction take as long as it needs, as a migration or a copy of all rows does."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LIFT)
        # Behind a pooler whose connections are all in use, the server would seem to hang (``ServerWatch``).
        connection.connection.driver_connection.is_watched = False  # type: ignore[union-attr]
