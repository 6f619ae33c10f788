"""Add the digests of sessions that were ended on purpose, to distinguish them from expired sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ended_sessions",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_ended_sessions_user_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_ended_sessions"),
    )
    op.create_index("ix_ended_sessions_user_id", "ended_sessions", ["user_id"])
    op.create_index("ix_ended_sessions_ended_at", "ended_sessions", ["ended_at"])
    op.drop_index("ix_sessions_used_at", "sessions")  # idle sessions are kept until they are old


def downgrade() -> None:
    op.create_index("ix_sessions_used_at", "sessions", ["used_at"])
    op.drop_table("ended_sessions")
