"""Where a photo's explanation lies, and what it explains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch: SQLite adds such columns in place, and a table made anew would take every check of the
    # queue out of work for as long as it is copied.
    op.add_column("images", sa.Column("explanation_key", sa.String(length=64), nullable=True))
    op.add_column("images", sa.Column("explanation_of", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Explanations stay in the photos bucket, and nothing knows of them."""
    op.drop_column("images", "explanation_of")
    op.drop_column("images", "explanation_key")
