"""Never assign an id of these tables twice.

SQLite reused the id of the last row after that row was deleted. Ids of these tables are also used outside the
database: by processes that delete objects, in webhook messages, and in addresses. PostgreSQL never reuses an
id.
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
    """Copy the tables, since SQLite can't change this in place. No other table refers to them."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for table in _TABLES:
        with op.batch_alter_table(
            table, recreate="always", table_kwargs={"sqlite_autoincrement": autoincrement}
        ):
            pass
