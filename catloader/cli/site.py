"""The site itself: serve it, show it, bring its database up to date, tell its settings."""

from __future__ import annotations

from dataclasses import fields

import click

from catloader.settings import Settings


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
    """Every setting with the value in force; docs/settings.md says what each does."""
    in_force = Settings.from_environment()
    for knob in fields(Settings):
        value = getattr(in_force, knob.name)
        shown = "(hidden)" if knob.metadata.get("secret") and value else str(value)
        changed = "" if value == knob.default else "   <- not the default"
        click.echo(f"{knob.metadata['env']}={shown}{changed}")
