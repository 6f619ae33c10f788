"""Add confirmed e-mail addresses, and one-time links that were sent by mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_PURPOSE, _USER = "ck_one_time_links_purpose", "ck_one_time_links_user"


def upgrade() -> None:
    op.add_column("users", sa.Column("email_confirmed_at", sa.DateTime(timezone=True)))
    with op.batch_alter_table("one_time_links") as batch:
        batch.drop_constraint(op.f(_PURPOSE), type_="check")
        batch.drop_constraint(op.f(_USER), type_="check")
        batch.add_column(sa.Column("email", sa.String(length=254), nullable=True))
        batch.create_check_constraint(op.f(_PURPOSE), "purpose IN ('reset','invitation','confirm')")
        batch.create_check_constraint(op.f(_USER), "(purpose = 'invitation') = (user_id IS NULL)")


def downgrade() -> None:
    op.execute("DELETE FROM one_time_links WHERE purpose = 'confirm'")
    with op.batch_alter_table("one_time_links") as batch:
        batch.drop_constraint(op.f(_PURPOSE), type_="check")
        batch.drop_constraint(op.f(_USER), type_="check")
        batch.drop_column("email")
        batch.create_check_constraint(op.f(_PURPOSE), "purpose IN ('reset','invitation')")
        batch.create_check_constraint(op.f(_USER), "(purpose = 'reset') = (user_id IS NOT NULL)")
    op.drop_column("users", "email_confirmed_at")
