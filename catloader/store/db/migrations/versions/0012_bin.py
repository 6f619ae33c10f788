"""Add the bin for deleted photos; the indexes of My photos exclude its photos."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_KEPT = "binned_at IS NULL"
_BINNED = "binned_at IS NOT NULL"
_WITH_CAPTION = "caption_folded <> ''"


def upgrade() -> None:
    op.add_column("images", sa.Column("binned_at", sa.DateTime(timezone=True)))
    _drop()
    # The indexes contain the column too, so that SQLite counts and searches in the index alone.
    _create("ix_images_owner_id_created_at", ["owner_id", "created_at", "id", "binned_at"], _KEPT)
    _create("ix_images_owner_id_status", ["owner_id", "status", "created_at", "id", "binned_at"], _KEPT)
    _create(
        "ix_images_captions",
        ["owner_id", "created_at", "id", "status", "caption_folded", "binned_at"],
        f"{_WITH_CAPTION} AND {_KEPT}",
    )
    _create("ix_images_bin", ["owner_id", "binned_at", "id"], _BINNED)
    _create("ix_images_binned_at", ["binned_at"], _BINNED)


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT 1 FROM images WHERE binned_at IS NOT NULL")).first():
        raise RuntimeError(
            "There are photos in the bin, which the older version does not have: empty the bin first."
        )
    op.drop_index("ix_images_binned_at", "images")
    op.drop_index("ix_images_bin", "images")
    _drop()
    op.drop_column("images", "binned_at")
    op.create_index("ix_images_owner_id_created_at", "images", ["owner_id", "created_at", "id"])
    op.create_index("ix_images_owner_id_status", "images", ["owner_id", "status", "created_at", "id"])
    captions = ["owner_id", "created_at", "id", "status", "caption_folded"]
    _create("ix_images_captions", captions, _WITH_CAPTION)


def _drop() -> None:
    for name in ("ix_images_captions", "ix_images_owner_id_status", "ix_images_owner_id_created_at"):
        op.drop_index(name, "images")


def _create(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "images", columns, sqlite_where=where, postgresql_where=where)
