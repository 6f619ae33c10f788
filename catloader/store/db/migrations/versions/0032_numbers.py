"""Give no number of these tables twice: SQLite gave that of the last row again once the row was gone.

Their numbers are kept outside of the database: by the processes that delete objects, in messages of webhooks,
in addresses. PostgreSQL never gives a number twice.
"""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_TABLES = ("api_tokens", "check_log", "deletions", "reviews")


def upgrade() -> None:
    _copy(autoincrement=True)


def downgrade() -> None:
    _copy(autoincrement=False)


def _copy(*, autoincrement: bool) -> None:
    """Copy the tables, the only way in which SQLite changes this. No other table refers to them."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for table in _TABLES:
        with op.batch_alter_table(
            table, recreate="always", table_kwargs={"sqlite_autoincrement": autoincrement}
        ):
            pass
