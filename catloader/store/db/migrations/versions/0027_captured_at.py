"""Add the time at which a photo was taken, for owners who chose to keep it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("captured_at", sa.String(19)))


def downgrade() -> None:
    op.drop_column("images", "captured_at")
