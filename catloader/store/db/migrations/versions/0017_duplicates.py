"""Index an owner's photos by the digest of their bytes, to find duplicates."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_images_owner_id_sha256", "images", ["owner_id", "sha256"])


def downgrade() -> None:
    op.drop_index("ix_images_owner_id_sha256", "images")
