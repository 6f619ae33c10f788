"""Add the time of the last log-in; sessions do not preserve it, because a log-out deletes their rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("logged_in_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("users", "logged_in_at")
