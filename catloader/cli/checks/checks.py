"""``catloader check``, ``worker`` and ``checker``: check photos, with or without a running site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from catloader.cli.context import pass_settings, say_first
from catloader.cli.groups import Group
from catloader.logs import printed
from catloader.settings import Settings
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.store.db.photos.photo_rows import Photo

_SHOWN = 50


@click.group(
    cls=Group,
    elsewhere={"verify": "checks.past_decisions:verify", "recheck": "checks.past_decisions:recheck"},
)
def check() -> None:
    """Check photos; list or repeat checks."""


@check.command()
@pass_settings
def run(settings: Settings) -> None:
    """Check all waiting photos, then exit."""
    from catloader.server.checking import check_once

    click.echo(printed(f"{counted(check_once(settings), 'photo')} checked."))


@check.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_settings
def files(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Check files and folders, without S3 or database.

    Runs `python -m checker` with the site's settings.
    """
    from catloader.checks.promotion import model_in_force, resolve_model
    from checker.__main__ import main as check_files

    command, rest = (["explain"], arguments[1:]) if arguments[:1] == ("explain",) else ([], arguments)
    # `explain` needs the name of one model; a check falls back to the next model if the first can't check.
    model = resolve_model(settings)[0].name if command else model_in_force(settings)
    options = ["--model", model, "--subject", settings.subject]
    for option, folder in (
        ("--profiles", settings.data_dir / "profiles"),
        ("--weights-dir", settings.weights_dir),
    ):
        options += [option, str(folder)] if folder.is_dir() else []
    if not command:
        options += ["--device", settings.device, "--runtime", settings.runtime]
        options += ["--precision", settings.precision, "--decoder", settings.decoder]
        options += ["--max-false-positive-rate", str(settings.max_false_positive_rate)]
        options += ["--max-false-negative-rate", str(settings.max_false_negative_rate)]
    raise SystemExit(check_files([*command, *options, *rest]))


@check.command(name="list")
@pass_settings
def list_(settings: Settings) -> None:
    """Show waiting photos and the count of each status."""
    from catloader.checks.dispatch import local_url
    from catloader.checks.status import checker_status
    from catloader.server.database import migrated_database
    from catloader.store.db.photos.photos import Photos

    with migrated_database(settings) as engine:
        photos = Photos(engine)
        counts, waiting = photos.count_by_status(), photos.waiting(_SHOWN)
    click.echo(", ".join(f"{status} {number}" for status, number in counts.items()))
    state = checker_status(settings, local_url(settings.host, settings.port))
    click.echo(f"checker: {state}, {counts['checking']} in hand")
    for photo in waiting:
        click.echo(_waiting(photo))


def _waiting(photo: Photo) -> str:
    if photo.lease_until is not None:
        due = f"in hand until {photo.lease_until:%Y-%m-%d %H:%M:%S} UTC at the latest"
    else:
        due = f"due {photo.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC"
    error = f"  {photo.check_error}" if photo.check_error else ""
    owner = f"user {photo.owner_id}"
    return f"{photo.id:>8}  {photo.status:<8}  {owner:<10}  attempts {photo.attempts}  {due}{error}"


@click.command()
@pass_settings
def worker(settings: Settings) -> None:
    """Check photos as they arrive, until Ctrl-C."""
    say_first(settings, "Starting the Cat Checker ...")
    from catloader.server.checking import work

    work(settings)


@click.group()
def checker() -> None:
    """Run the Cat Checker as a service."""


@checker.command()
@pass_settings
def serve(settings: Settings) -> None:
    """Listen for signed wake-ups (CATCHECK_DISPATCH=external)."""
    say_first(settings, "Starting the Cat Checker ...")
    from catloader.server.commands import serve_checker

    raise SystemExit(serve_checker(settings))
