"""Add the browser in which a session began, for the list of a user's sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("browser", sa.String(length=60), server_default=sa.text("''"), nullable=False)
    op.add_column("sessions", column)


def downgrade() -> None:
    op.drop_column("sessions", "browser")
