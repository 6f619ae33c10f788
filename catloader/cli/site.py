"""The site itself: serve it, show it, bring its database up to date, tell its settings."""

from __future__ import annotations

import click

from catloader.settings import Settings, variables


@click.command()
def serve() -> None:
    """Run the site until Ctrl-C."""
    from catloader.server.commands import serve as run

    run(Settings.from_environment())


@click.command()
def demo() -> None:
    """The main job from end to end, on free ports and in a temporary folder."""
    from catloader.demo.demo import demo as run

    raise SystemExit(run())


@click.group()
def db() -> None:
    """The database."""


@db.command()
def migrate() -> None:
    """Bring its tables up to date (`serve` does so by itself)."""
    from catloader.server.data_dir import database, usable_data_folder

    settings = Settings.from_environment()
    usable_data_folder(settings)
    with database(settings) as engine:
        click.echo(f"{engine.url.render_as_string(hide_password=True)} is up to date.")


@click.command()
def settings() -> None:
    """Show every setting; `*` marks those that are not the default."""
    in_force = Settings.from_environment()
    for variable in variables():
        value = getattr(in_force, variable.field)
        changed = value != variable.default
        secret = "(hidden)" if changed else variable.default_text
        shown = secret if variable.secret else value
        click.echo(f"{'*' if changed else ' '} {variable.name}={shown}")
