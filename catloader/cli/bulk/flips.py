"""The flips of a bulk plan on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from catloader.cli.options import MOST_LISTED
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.bulk.plan import Plan
    from catloader.store.db.checks.bulk import BulkTable


def show_flips(plan: Plan) -> None:
    """Print the verdicts that would change, and the number of each change."""
    from catloader.bulk.flips import Flips, changed

    totals = Flips()
    for index, row in enumerate(changed(plan, totals)):
        if index < MOST_LISTED:
            old_score = "" if row["old_score"] is None else f" {row['old_score']:.4f}"
            score = "" if row["score"] is None else f" {row['score']:.4f}"
            click.echo(
                f"photo {row['photo_id']:>8}  {row['old_status']}{old_score} -> {row['verdict']}{score}"
            )
    hidden = totals.changes.total() - MOST_LISTED
    if hidden > 0:
        click.echo(f"... and {hidden} more.")
    verdicts = ", ".join(f"{verdict} {photos}" for verdict, photos in sorted(totals.verdicts.items()))
    click.echo(f"{counted(totals.photos, 'photo')} checked: {verdicts or 'no verdict'}.")
    if totals.compared and not totals.changes:
        click.echo("No verdict would change.")
    for (old, new), photos in sorted(totals.changes.items()):
        click.echo(f"  {f'{old} -> {new}':<24} {photos}")
    if totals.without_verdict:
        click.echo(
            f"{counted(totals.without_verdict, 'photo')} without a verdict; `bulk flips --csv` shows why."
        )


def show_and_apply(plan: Plan, table: BulkTable, *, yes: bool) -> None:
    """Show the verdicts that change, ask unless ``yes``, and write all verdicts and scores into the table."""
    from catloader.bulk.flips import apply

    show_flips(plan)
    if not yes:
        click.confirm("Write these results into the table?", abort=True)
    results = written = 0
    for in_batch, in_table in apply(plan, table):
        results, written = results + in_batch, written + in_table
    click.echo(f"{counted(written, 'result')} written into the table.")
    if unchanged := results - written:
        have, were = ("has", "was") if unchanged == 1 else ("have", "were")
        click.echo(
            f"{counted(unchanged, 'photo')} {have} changed since the plan was made, perhaps because its "
            f"results were written before, and {were} not written."
        )
