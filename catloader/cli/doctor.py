"""``catloader doctor``: examine each part that a site needs, and print a row for it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from catloader.cli.context import pass_settings
from catloader.settings import Settings
from checker.plurals import counted

_MARKS = {"ok": "ok    ", "note": "note  ", "failed": "FAILED"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of {part, result, sentence}.")
@pass_settings
def doctor(settings: Settings, as_json: bool) -> None:
    """Examine everything a site needs, part by part.

    Examines Python, disks, database, S3 (each necessary right), mail server and log-in provider if they are
    set, model and variant, clocks, and wake-ups. The site may be running. Exit code 1: a row failed.
    """
    from catloader.doctor.examination import examine

    rows = []
    for row in examine(settings):
        rows.append(row)
        if not as_json:
            click.echo(f"{_MARKS[row.result]}  {row.part:<34}  {row.sentence}")
    failed = sum(row.result == "failed" for row in rows)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    elif failed:
        click.echo(f"{counted(failed, 'row')} failed.")
    else:
        click.echo("Nothing failed.")
    if failed:
        raise SystemExit(1)
