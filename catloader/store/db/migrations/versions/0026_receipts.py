"""Add receipts for deleted accounts: the number of objects to delete, and when the last one was deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "receipts",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("photos", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_receipts"),
    )
    op.add_column("deletions", sa.Column("receipt", sa.String(length=64)))
    op.create_index(
        "ix_deletions_receipt",
        "deletions",
        ["receipt"],
        sqlite_where=sa.text("receipt IS NOT NULL"),
        postgresql_where=sa.text("receipt IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_deletions_receipt", "deletions")
    op.drop_column("deletions", "receipt")
    op.drop_table("receipts")
