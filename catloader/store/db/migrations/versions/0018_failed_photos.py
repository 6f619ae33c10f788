"""Index failed and unreadable photos, so that a list of them reads no other rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_STATUSES = ("failed", "unreadable")


def upgrade() -> None:
    for status in _STATUSES:
        only = sa.text(f"status = '{status}'")
        op.create_index(f"ix_images_{status}", "images", ["id"], sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    for status in _STATUSES:
        op.drop_index(f"ix_images_{status}", "images")
