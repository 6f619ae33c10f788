"""Checking photos from the command line, beside a running site or without one."""

from __future__ import annotations

import click

from catloader.settings import Settings

_SHOWN = 50


@click.group()
def check() -> None:
    """The photos that wait for their check."""


@check.command()
def run() -> None:
    """Check all that waits, then exit."""
    from catloader.server.commands import check_once

    photos = check_once(Settings.from_environment())
    click.echo(f"{photos} photo{'' if photos == 1 else 's'} checked.")


@check.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def files(arguments: tuple[str, ...]) -> None:
    """Check files and folders, without S3 or database: `python -m checker` with the site's settings."""
    from catloader.checks.promotion import resolve_model
    from checker.__main__ import main as check_files

    settings = Settings.from_environment()
    command, rest = (["explain"], arguments[1:]) if arguments[:1] == ("explain",) else ([], arguments)
    ours = ["--model", resolve_model(settings)[0].name, "--subject", settings.subject]
    for option, folder in (
        ("--profiles", settings.data_dir / "profiles"),
        ("--weights-dir", settings.weights_dir),
    ):
        ours += [option, str(folder)] if folder.is_dir() else []
    if not command:
        ours += ["--device", settings.device, "--runtime", settings.runtime]
        ours += ["--precision", settings.precision, "--decoder", settings.decoder]
        ours += ["--max-false-positive-rate", str(settings.max_false_positive_rate)]
        ours += ["--max-false-negative-rate", str(settings.max_false_negative_rate)]
    raise SystemExit(check_files([*command, *ours, *rest]))


@check.command(name="list")
def list_() -> None:
    """Show what waits and how much of each verdict there is."""
    from catloader.server.data_dir import database, usable_data_folder
    from catloader.store.db.photos import Photos

    settings = Settings.from_environment()
    usable_data_folder(settings)
    with database(settings) as engine:
        photos = Photos(engine)
        counted, waiting = photos.count_by_status(), photos.waiting(_SHOWN)
    click.echo(", ".join(f"{status} {n}" for status, n in counted.items()))
    for image in waiting:
        error = f"  {image.check_error}" if image.check_error else ""
        due = f"{image.next_attempt_at:%Y-%m-%d %H:%M:%S}"
        click.echo(f"{image.id:>8}  {image.status:<8}  attempts {image.attempts}  due {due} UTC{error}")


@click.command()
def worker() -> None:
    """Check photos as they come, in a process of its own, until Ctrl-C."""
    from catloader.server.commands import work

    work(Settings.from_environment())


@click.group()
def checker() -> None:
    """The Cat Checker as a service of its own."""


@checker.command()
def serve() -> None:
    """Listen for the signed wake-ups of CATCHECK_DISPATCH=external."""
    from catloader.server.commands import serve_checker

    serve_checker(Settings.from_environment())
