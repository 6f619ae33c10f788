"""Number photos with 64 bits: a site that receives 10^8 photos a day uses up 31 bits within three weeks.

SQLite's numbers have 64 bits anyway. PostgreSQL rewrites the tables before the site starts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

_OF_PHOTOS = [
    "appeals",
    "check_log",
    "likes",
    "random_audits",
    "replacements",
    "reviews",
    "share_links",
    "takedowns",
    "upload_keys",
]


def upgrade() -> None:
    _number_with(sa.BigInteger())


def downgrade() -> None:
    _number_with(sa.Integer())


def _number_with(kind: sa.Integer) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("images", "id", type_=kind)
        op.execute(f"ALTER SEQUENCE images_id_seq AS {kind}")
        for table in _OF_PHOTOS:
            op.alter_column(table, "image_id", type_=kind)
