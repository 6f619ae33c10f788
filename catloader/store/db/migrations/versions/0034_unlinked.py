"""Add marks of accounts that were unlinked from a provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unlinked_accounts",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("unlinked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_unlinked_accounts_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "issuer", name="pk_unlinked_accounts"),
    )


def downgrade() -> None:
    op.drop_table("unlinked_accounts")
