"""The time limits that an operator has set for the site's role in PostgreSQL.

Every other transaction keeps them: if one ends it, it is ``StoreUnavailable`` and tried again.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# Older servers lack some of the settings. `lock_timeout` stays: a migration that waits for a lock makes all
# others wait behind it.
_LIFT = text(
    "SELECT set_config(name, '0', true) FROM pg_settings "
    "WHERE name IN ('statement_timeout', 'transaction_timeout')"
)


def lift_time_limits(connection: Connection) -> None:
    """Let the current transaction take as long as it needs, as a migration or a copy of all rows does."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LIFT)
