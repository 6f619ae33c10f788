"""Add folded captions for the search, and index photos by owner, verdict and time."""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

_BATCH = 1000


def upgrade() -> None:
    op.add_column(
        "images",
        sa.Column("caption_folded", sa.String(length=500), server_default=sa.text("''"), nullable=False),
    )
    _fold_captions()
    op.create_index("ix_images_owner_id_created_at", "images", ["owner_id", "created_at", "id"])
    op.create_index("ix_images_owner_id_status", "images", ["owner_id", "status", "created_at", "id"])
    op.create_index(
        "ix_images_captions",
        "images",
        ["owner_id", "created_at", "id", "status", "caption_folded"],
        sqlite_where=sa.text("caption_folded <> ''"),
        postgresql_where=sa.text("caption_folded <> ''"),
    )
    op.drop_index("ix_images_owner_id_id", "images")


def _fold_captions() -> None:
    connection, last_id = op.get_bind(), 0
    page = sa.text("SELECT id, caption FROM images WHERE id > :last AND caption <> '' ORDER BY id LIMIT :n")
    fold = sa.text("UPDATE images SET caption_folded = :folded WHERE id = :id")
    while rows := connection.execute(page, {"last": last_id, "n": _BATCH}).all():
        # The folding of catloader.texts at the time of this migration; later changes there must not matter.
        connection.execute(
            fold,
            [
                {"id": row.id, "folded": unicodedata.normalize("NFC", row.caption).casefold()[:500]}
                for row in rows
            ],
        )
        last_id = rows[-1].id


def downgrade() -> None:
    op.create_index("ix_images_owner_id_id", "images", ["owner_id", "id"])
    op.drop_index("ix_images_captions", "images")
    op.drop_index("ix_images_owner_id_status", "images")
    op.drop_index("ix_images_owner_id_created_at", "images")
    op.drop_column("images", "caption_folded")
