"""The site itself: serve it, demonstrate it, show its settings."""

from __future__ import annotations

import click

from catloader.cli.context import pass_settings, say_first
from catloader.settings import Settings, variables
from catloader.settings.variables import as_text


@click.command()
@pass_settings
def serve(settings: Settings) -> None:
    """Run the site until Ctrl-C."""
    say_first(settings, "Starting CatLoader ...")
    from catloader.server.commands import serve as run

    raise SystemExit(run(settings))


@click.command()
def demo() -> None:
    """Upload and check sample photos on a temporary site."""
    click.echo("Starting a temporary site ...")
    from catloader.demo.demo import demo as run

    raise SystemExit(run())


@click.command()
@pass_settings
def settings(settings: Settings) -> None:
    """Show every setting; `*` marks changed values.

    docs/settings.md describes them.
    """
    for variable in variables():
        value = getattr(settings, variable.field)
        changed = value != variable.default
        shown = as_text(value)
        if variable.secret:
            shown = "(hidden)" if changed else variable.default_text
        click.echo(f"{'*' if changed else ' '} {variable.name}={shown}")
