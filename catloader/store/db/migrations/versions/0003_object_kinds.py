"""Name objects to delete by kind, and leave the bucket to the object store.

Existing rows keep their bucket: a migration knows neither the buckets' names, which are settings, nor whether
a key of the photos bucket was a photo or an explanation. The deletion worker handles both.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite copies the table to drop NOT NULL. The ledger is short, since it lists only objects to delete.
    with op.batch_alter_table("deletions") as batch:
        batch.add_column(sa.Column("kind", sa.String(length=16), nullable=True))
        batch.alter_column("bucket", existing_type=sa.String(length=63), nullable=True)
        batch.create_check_constraint(
            op.f("ck_deletions_kind"), "kind IN ('photo','thumbnail','explanation')"
        )
        batch.create_check_constraint(
            op.f("ck_deletions_kind_or_bucket"), "(kind IS NULL) <> (bucket IS NULL)"
        )
        batch.create_index("uq_deletions_kind_key", ["kind", "key"], unique=True)


def downgrade() -> None:
    """Refuse while rows have a kind instead of a bucket; the older version could not delete their objects."""
    by_kind = sa.text("SELECT count(*) FROM deletions WHERE kind IS NOT NULL")
    if rows := op.get_bind().execute(by_kind).scalar_one():
        raise CommandError(
            f"{rows} objects wait to be deleted, and the older version would not find their buckets: "
            "run the site until they are gone, then downgrade"
        )
    with op.batch_alter_table("deletions") as batch:
        batch.drop_index("uq_deletions_kind_key")
        batch.drop_constraint(op.f("ck_deletions_kind_or_bucket"), type_="check")
        batch.drop_constraint(op.f("ck_deletions_kind"), type_="check")
        batch.alter_column("bucket", existing_type=sa.String(length=63), nullable=False)
        batch.drop_column("kind")
