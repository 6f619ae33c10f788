"""Keep the date on which a photo was taken, where its owner wants that."""

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
