"""Add disabled accounts, quotas, one-time links, the staff audit log, and a switch that pauses checking."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("disabled_at", _TIME))
    op.add_column("users", sa.Column("max_photos", sa.Integer()))
    op.add_column("users", sa.Column("max_bytes", sa.BigInteger()))
    op.create_index("ix_images_usage", "images", ["owner_id", "size_bytes"])
    op.create_table(
        "one_time_links",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.CheckConstraint("purpose IN ('reset','invitation')", name=op.f("ck_one_time_links_purpose")),
        sa.CheckConstraint(
            "(purpose = 'reset') = (user_id IS NOT NULL)", name=op.f("ck_one_time_links_user")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_one_time_links_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_one_time_links"),
    )
    op.create_index("ix_one_time_links_user_id", "one_time_links", ["user_id"])
    op.create_index("ix_one_time_links_expires_at", "one_time_links", ["expires_at"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("act", sa.String(length=100), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_table(
        "switches",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_switches"),
    )


def downgrade() -> None:
    op.drop_table("switches")
    op.drop_table("audit_log")
    op.drop_table("one_time_links")
    op.drop_index("ix_images_usage", "images")
    op.drop_column("users", "max_bytes")
    op.drop_column("users", "max_photos")
    op.drop_column("users", "disabled_at")
