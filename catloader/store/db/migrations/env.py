"""Alembic's entry point. It uses the connection of ``store.db.migrate``, with its lock and transaction."""

from __future__ import annotations

from alembic import context

from catloader.store.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
