"""``catloader db``: the database's tables."""

from __future__ import annotations

import click

from catloader.cli.context import pass_settings
from catloader.settings import Settings


@click.group()
def db() -> None:
    """Manage the database."""


@db.command()
@pass_settings
def migrate(settings: Settings) -> None:
    """Migrate the database (`serve` does so itself)."""
    from catloader.server.database import migrated_database
    from catloader.store.db.engine import database_name

    with migrated_database(settings, may_create=True) as engine:
        click.echo(f"{database_name(engine)} is up to date.")
