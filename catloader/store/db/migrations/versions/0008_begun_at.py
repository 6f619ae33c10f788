"""Distinguish photos whose decoding had begun when their checker stopped from photos only claimed by it.

Attempts were counted at the claim, and are now counted when decoding begins. The attempts of photos that are
in hand during the update stay counted.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("images", "begun_at")
