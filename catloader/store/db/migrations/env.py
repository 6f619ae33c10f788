"""Alembic's entry: ``store.engine.migrate`` hands the connection over, lock and transaction included."""

from __future__ import annotations

from alembic import context

from catloader.store.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
    render_as_batch=True,  # SQLite alters a table by making it anew
)
context.run_migrations()
