"""Number the deletion ledger with 64 bits: each upload takes two numbers, so 10^9 photos use up 31 bits.

SQLite's numbers have 64 bits anyway. The ledger is short, since it lists only objects to delete.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _number_with(sa.BigInteger())


def downgrade() -> None:
    _number_with(sa.Integer())


def _number_with(kind: sa.Integer) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("deletions", "id", type_=kind)
        op.execute(f"ALTER SEQUENCE deletions_id_seq AS {kind}")
