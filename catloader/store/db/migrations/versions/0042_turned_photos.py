"""Add the degrees by which a turned photo was rotated to be judged; NULL in the rows of earlier versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("check_log", sa.Column("turned_deg", sa.Integer()))


def downgrade() -> None:
    op.drop_column("check_log", "turned_deg")
