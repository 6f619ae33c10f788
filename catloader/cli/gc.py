"""``catloader gc``: compare the object store with the database."""

from __future__ import annotations

from datetime import timedelta

import click

from catloader.cli.context import pass_settings, services_of
from catloader.cli.options import MOST_LISTED
from catloader.settings import Settings
from checker.plurals import counted


@click.command()
@click.option("--report", is_flag=True, help="Only report (the default).")
@click.option("--apply", is_flag=True, help="Delete unreferenced objects.")
@click.option(
    "--older-than",
    metavar="MINUTES",
    type=click.IntRange(0, 10**7),
    default=60,
    show_default=True,
    help="Do not delete younger objects.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Delete even if more than half of the old objects are unknown to the database.",
)
@pass_settings
def gc(settings: Settings, *, report: bool, apply: bool, older_than: int, force: bool) -> None:
    """Compare the object store with the database, in both directions.

    Objects that neither a photo nor the deletion ledger references can be deleted. Photos whose objects are
    missing are listed and never changed: restore the objects from a backup, or delete the photos. The site
    may be running. Exit code 1: objects are missing.
    """
    from catloader.orphans import compare, remove
    from catloader.store.db.engine import utcnow
    from catloader.store.db.object_names import ObjectNames

    if report and apply:
        raise click.UsageError("--report and --apply can't be used together.")
    with services_of(settings) as services:
        names = ObjectNames(services.engine)
        result = compare(names, services.objects, utcnow(), timedelta(minutes=older_than))
        foreign = f"; {result.foreign} not of this site, left alone" if result.foreign else ""
        click.echo(f"{counted(result.objects, 'object')} in the object store{foreign}.")
        click.echo(f"{counted(len(result.orphans), 'unreferenced object')}.")
        for kind, key in result.orphans[:MOST_LISTED]:
            click.echo(f"  {kind} {key}")
        click.echo(f"{counted(len(result.missing), 'object')} missing.")
        for photo_id, kind in result.missing:
            click.echo(f"  photo {photo_id}: its {kind}")
        if apply:
            entered = remove(names, result, force=force)
            services.deletion.work_off()
            left = services.ledger.count()
            click.echo(f"{counted(entered, 'object')} added to the deletion ledger, which has {left} left.")
    if result.missing:
        raise SystemExit(1)
