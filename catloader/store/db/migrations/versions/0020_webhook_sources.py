"""Send webhooks about reviewers' decisions too: an entry of the ledger states the table of its event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_UNIQUE = "uq_webhook_deliveries_source_source_id"


def upgrade() -> None:
    # SQLite copies the table, which is small: the ledger keeps 30 days.
    with op.batch_alter_table("webhook_deliveries") as batch:
        batch.drop_constraint("uq_webhook_deliveries_check_log_id", type_="unique")
        batch.alter_column("check_log_id", new_column_name="source_id", existing_type=sa.Integer())
        batch.add_column(
            sa.Column("source", sa.String(length=10), server_default=sa.text("'check'"), nullable=False)
        )
        batch.create_check_constraint(op.f("ck_webhook_deliveries_source"), "source IN ('check','review')")
    op.create_index(_UNIQUE, "webhook_deliveries", ["source", "source_id"], unique=True)


def downgrade() -> None:
    op.drop_index(_UNIQUE, "webhook_deliveries")
    op.execute("DELETE FROM webhook_deliveries WHERE source <> 'check'")
    with op.batch_alter_table("webhook_deliveries") as batch:
        batch.drop_constraint(op.f("ck_webhook_deliveries_source"), type_="check")
        batch.drop_column("source")
        batch.alter_column("source_id", new_column_name="check_log_id", existing_type=sa.Integer())
    # A batch that renames a column would drop the constraint on it.
    with op.batch_alter_table("webhook_deliveries") as batch:
        batch.create_unique_constraint("uq_webhook_deliveries_check_log_id", ["check_log_id"])
