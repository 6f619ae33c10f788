"""Index the photos of the public album, and add links that share one photo."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_images_album",
        "images",
        ["created_at", "id"],
        sqlite_where=sa.text("on_air = 1 AND status = 'cat'"),
        postgresql_where=sa.text("on_air AND status = 'cat'"),
    )
    op.create_table(
        "share_links",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name="fk_share_links_image_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("image_id", name="pk_share_links"),
        sa.UniqueConstraint("token_sha256", name="uq_share_links_token_sha256"),
    )


def downgrade() -> None:
    op.drop_table("share_links")
    op.drop_index("ix_images_album", "images")
