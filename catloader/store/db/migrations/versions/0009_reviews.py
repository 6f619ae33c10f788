"""Add appeals, reviewers' decisions, and the reviewer role."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("is_reviewer", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "appeals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("wish", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME, nullable=True),
        sa.CheckConstraint("wish IN ('cat','not_cat')", name=op.f("ck_appeals_wish")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_appeals_image_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_appeals"),
    )
    op.create_index("ix_appeals_image_id", "appeals", ["image_id"])
    is_open = sa.text("closed_at IS NULL")
    op.create_index("ix_appeals_open", "appeals", ["id"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_index(
        "uq_appeals_open",
        "appeals",
        ["image_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=True),
        sa.Column("appeal_id", sa.Integer(), nullable=True),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("status_before", sa.String(length=10), nullable=False),
        sa.CheckConstraint("verdict IN ('cat','not_cat')", name=op.f("ck_reviews_verdict")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_reviews_image_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["reviewer_id"], ["users.id"], name="fk_reviews_reviewer_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["appeal_id"], ["appeals.id"], name="fk_reviews_appeal_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_image_id", "reviews", ["image_id"])
    op.create_index("ix_reviews_reviewer_id", "reviews", ["reviewer_id"])
    op.create_index("ix_reviews_appeal_id", "reviews", ["appeal_id"])
    unsure = sa.text("status = 'unsure'")
    op.create_index("ix_images_unsure", "images", ["id"], sqlite_where=unsure, postgresql_where=unsure)


def downgrade() -> None:
    op.drop_index("ix_images_unsure", "images")
    op.drop_table("reviews")
    op.drop_table("appeals")
    op.drop_column("users", "is_reviewer")
