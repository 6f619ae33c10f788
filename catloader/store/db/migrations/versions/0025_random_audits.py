"""Add the photos that were drawn for a random audit, and the reviewers' answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "random_audits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("check_log_id", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("drawn_at", _TIME, nullable=False),
        sa.Column("answer", sa.String(length=10)),
        sa.Column("answered_at", _TIME),
        sa.CheckConstraint("verdict IN ('cat','not_cat')", name=op.f("ck_random_audits_verdict")),
        sa.CheckConstraint("answer IN ('cat','not_cat')", name=op.f("ck_random_audits_answer")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name="fk_random_audits_image_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_random_audits"),
    )
    op.create_index("ix_random_audits_image_id", "random_audits", ["image_id"], unique=True)
    is_open = sa.text("answered_at IS NULL")
    op.create_index(
        "ix_random_audits_open", "random_audits", ["id"], sqlite_where=is_open, postgresql_where=is_open
    )


def downgrade() -> None:
    op.drop_table("random_audits")
