"""Add the reason why a photo is "unsure" although its score says "cat"."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("check_log", sa.Column("reason", sa.String(length=16), nullable=True))


def downgrade() -> None:
    op.drop_column("check_log", "reason")
