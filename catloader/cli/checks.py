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
    from catloader.serve import check_once

    photos = check_once(Settings.from_environment())
    click.echo(f"{photos} photo{'' if photos == 1 else 's'} checked.")


@check.command(name="list")
def list_() -> None:
    """Show what waits and how much of each verdict there is."""
    from catloader.instance import database, usable_data_folder
    from catloader.store.images import Images

    settings = Settings.from_environment()
    usable_data_folder(settings)
    with database(settings) as engine:
        images = Images(engine, settings.s3_photos_bucket, settings.s3_thumbnails_bucket)
        counted, waiting = images.count_by_status(), images.waiting(_SHOWN)
    click.echo(", ".join(f"{status} {n}" for status, n in counted.items()))
    for image in waiting:
        error = f"  {image.check_error}" if image.check_error else ""
        due = f"{image.next_attempt_at:%Y-%m-%d %H:%M:%S}"
        click.echo(f"{image.id:>8}  {image.status:<8}  attempts {image.attempts}  due {due} UTC{error}")


@click.command()
def worker() -> None:
    """Check photos as they come, in a process of its own, until Ctrl-C."""
    from catloader.serve import work

    work(Settings.from_environment())


@click.group()
def checker() -> None:
    """The Cat Checker as a service of its own."""


@checker.command()
def serve() -> None:
    """Listen for the signed wake-ups of CATCHECK_DISPATCH=external."""
    from catloader.serve import serve_checker

    serve_checker(Settings.from_environment())
