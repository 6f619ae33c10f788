"""Index the keys of uploads by account and age: each upload deletes the old ones of its account.

To find them, the upload read all keys of the account: SQLite took some tenths of a second for 50 000 keys.
The index by age alone did not help.
"""

from __future__ import annotations

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_upload_keys_user_id", "upload_keys", ["user_id", "created_at"])
    op.drop_index("ix_upload_keys_created_at", "upload_keys")


def downgrade() -> None:
    op.create_index("ix_upload_keys_created_at", "upload_keys", ["created_at"])
    op.drop_index("ix_upload_keys_user_id", "upload_keys")
