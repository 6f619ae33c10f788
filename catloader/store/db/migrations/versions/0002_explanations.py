"""Add the key of a photo's explanation, and a digest of what it explains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: SQLite adds these columns in place, while copying the table would stop all checks.
    op.add_column("images", sa.Column("explanation_key", sa.String(length=64), nullable=True))
    op.add_column("images", sa.Column("explanation_of", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Drop the columns; the explanations stay in the photos bucket without a reference to them."""
    op.drop_column("images", "explanation_of")
    op.drop_column("images", "explanation_key")
