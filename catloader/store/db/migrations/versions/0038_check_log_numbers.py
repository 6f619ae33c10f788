"""Number the check log with 64 bits: 10^9 photos that are checked three times use up 31 bits.

SQLite's numbers have 64 bits anyway. PostgreSQL rewrites the whole check log before the site starts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

_NUMBERS = [
    ("check_log", "id"),
    ("webhook_deliveries", "id"),
    ("webhook_deliveries", "source_id"),
    ("replacements", "last_check_id"),
    ("random_audits", "check_log_id"),
]


def upgrade() -> None:
    _number_with(sa.BigInteger())


def downgrade() -> None:
    _number_with(sa.Integer())


def _number_with(kind: sa.Integer) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, column in _NUMBERS:
            op.alter_column(table, column, type_=kind)
        for table in ("check_log", "webhook_deliveries"):
            op.execute(f"ALTER SEQUENCE {table}_id_seq AS {kind}")
