"""Add profiles whose thresholds were measured on people's decisions, and mark the one in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "measured_profiles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("base_id", sa.String(length=128), nullable=False),
        sa.Column("touched_at", _TIME, nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("missing", sa.JSON()),
        sa.Column("profile_id", sa.String(length=128)),
        sa.Column("profile", sa.JSON()),
        sa.Column("flips", sa.JSON()),
        sa.Column("photos", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_measured_profiles"),
    )
    op.create_table(
        "profile_choices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("measured_id", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_profile_choices"),
    )


def downgrade() -> None:
    op.drop_table("profile_choices")
    op.drop_table("measured_profiles")
