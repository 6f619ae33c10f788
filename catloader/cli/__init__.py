"""``catloader ...`` or ``python -m catloader ...``."""

from __future__ import annotations

from pathlib import Path

import click

from catloader.cli.groups import OneLineErrors
from catloader.errors import StartupError
from checker import __version__

_COMMANDS = {
    "serve": "site:serve",
    "demo": "site:demo",
    "settings": "site:settings",
    "doctor": "doctor:doctor",
    "db": "database:db",
    "gc": "gc:gc",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "import": "transfer:import_",
    "export": "transfer:export",
    "webhooks": "webhooks:webhooks",
    "user": "accounts:user",
    "tokens": "tokens:tokens",
    "upload": "upload:upload",
    "check": "checks.checks:check",
    "worker": "checks.checks:worker",
    "checker": "checks.checks:checker",
    "models": "models.models:models",
    "bulk": "bulk.bulk:bulk",
}


@click.group(cls=OneLineErrors, elsewhere=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="catloader", message="%(prog)s %(version)s")
def main() -> None:
    """Run and manage a photo site whose Cat Checker checks every photo.

    Settings are environment variables; `catloader settings` shows them.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise StartupError(
            "The folder in which this command was started no longer exists; change to another."
        ) from None
