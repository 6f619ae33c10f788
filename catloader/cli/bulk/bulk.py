"""``catloader bulk``: check very many photos with a model, from a plan, outside the live queue."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catloader.cli.bulk.flips import show_and_apply, show_flips
from catloader.cli.bulk.labelled import UNIT_ROWS as LABELLED_UNIT_ROWS
from catloader.cli.bulk.labelled import examples, plan_of_labelled, size_of_results
from catloader.cli.bulk.run import UNIT_ROWS, duration, folder_of, plans_of, run_and_tell, size, state_of
from catloader.cli.context import pass_settings, services_of
from catloader.cli.options import chosen_digest, chosen_status, not_empty, since_option
from catloader.settings import Settings
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.bulk.plan import Plan
    from catloader.store.db.schema import Status


@click.group()
def bulk() -> None:
    """Check many photos with a model, from a plan.

    The results are files in the plan's folder until `bulk apply` writes them into the table.
    """


def _plan_of(settings: Settings, name: str) -> Plan:
    from catloader.bulk.plan import Plan

    return Plan(folder_of(settings, name))


def _begun_plan_of(settings: Settings, name: str) -> Plan:
    from catloader.bulk.plan import BulkError

    plan = _plan_of(settings, name)
    if not plan.done():
        raise BulkError(f"The plan {name} has no verdicts yet: `catloader bulk run {name}` makes them.")
    return plan


@bulk.command()
@click.argument("name")
@click.option("--model", metavar="MODEL", default="", help="Model to run; by default the model in use.")
@click.option(
    "--model-digest",
    metavar="DIGEST",
    callback=chosen_digest,
    help="Only photos decided by these weights (first digits of the sha256).",
)
@click.option("--status", metavar="STATUS", callback=chosen_status, help="Only photos with this status.")
@since_option
@click.option(
    "--from",
    "address",
    metavar="S3://BUCKET/PREFIX|FOLDER",
    callback=not_empty,
    help="Check the objects or files below this address, not the site's photos.",
)
@click.option(
    "--labelled",
    metavar="DATA",
    callback=not_empty,
    help="Check these labelled photos; DATA is as for `models calibrate`, or s3://BUCKET/PREFIX with the "
    "same layout. The run also keeps the data for `models calibrate --from-run`.",
)
@click.option(
    "--augmentations/--no-augmentations",
    default=True,
    help="With --labelled: also measure three augmentations of each photo, which `models calibrate` needs.",
)
@click.option(
    "--unit-rows",
    metavar="N",
    type=click.IntRange(1, 10_000),
    help="Photos per unit. The engine `local` loses at most one unit of work if it is killed.  "
    f"[default: {UNIT_ROWS}, with --labelled {LABELLED_UNIT_ROWS}]",
)
@pass_settings
def plan(
    settings: Settings,
    name: str,
    *,
    model: str,
    model_digest: str | None,
    status: Status | None,
    since: datetime | None,
    address: str | None,
    labelled: str | None,
    augmentations: bool,
    unit_rows: int | None,
) -> None:
    """Write the plan NAME of photos to check.

    The plan has the finished photos that meet all given conditions, except photos that a person has decided;
    or those of --from or --labelled. NAME is a folder in `bulk` of the data folder, or a path with a slash.
    """
    from catloader.bulk.manifest import parquet
    from catloader.bulk.planning import plan_of_folder, plan_of_prefix, plan_of_table
    from catloader.checks.promotion import resolve_model
    from catloader.store.db.checks.bulk import BulkTable
    from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks

    parquet()
    option = "--labelled" if labelled else "--from" if address else ""
    if option and any((model_digest, status, since, labelled and address)):
        raise click.UsageError(f"{option} selects all photos of the plan; leave out the other conditions.")
    entry, _ = resolve_model(settings.with_changes(model=model) if model else settings)
    folder = folder_of(settings, name)
    with services_of(settings, may_create=bool(option)) as services:
        if labelled:
            rows = unit_rows or LABELLED_UNIT_ROWS
            plan = plan_of_labelled(
                services, folder, entry.name, labelled, unit_rows=rows, augmentations=augmentations
            )
        elif address and "://" not in address:
            plan = plan_of_folder(folder, entry.name, address, unit_rows or UNIT_ROWS)
        elif address:
            plan = plan_of_prefix(services.settings, folder, entry.name, address, unit_rows or UNIT_ROWS)
        else:
            conditions = RecheckFilter(model_digest, status, since)
            Rechecks(services.engine).require_weights(conditions)
            plan = plan_of_table(services, folder, entry.name, conditions, unit_rows or UNIT_ROWS)
        each_s = BulkTable(services.engine).seconds_per_photo(entry.name)
    facts = plan.facts
    click.echo(
        f"{counted(facts.photos, 'photo')}, {size(facts.size_bytes)}, in {counted(plan.units, 'unit')}."
    )
    if labelled:
        click.echo(size_of_results(plan))
    if not facts.photos:
        click.echo("No photo matches, so there is nothing to run.")
    elif each_s is None:
        click.echo(f"{facts.model} has not checked photos here yet: `bulk run` will show its speed.")
    else:
        needed = duration(examples(plan) * each_s / settings.checking_threads)
        click.echo(f"At the speed of the last checks with {facts.model}, this machine takes {needed}.")


_engine = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run in this process, or on Ray.",
)
_address = click.option(
    "--address",
    metavar="ADDRESS",
    default="",
    help="Address of a Ray cluster; `auto`: the one on this machine. Default: start a new one.",
)


@bulk.command()
@click.argument("name")
@_engine
@_address
@pass_settings
def run(settings: Settings, name: str, engine: str, address: str) -> None:
    """Check the photos of the plan NAME, from where it stopped."""
    _run(settings, name, engine, address)


@bulk.command()
@click.argument("name")
@_engine
@_address
@pass_settings
def resume(settings: Settings, name: str, engine: str, address: str) -> None:
    """The same as `bulk run`: finished units are not repeated."""
    _run(settings, name, engine, address)


def _run(settings: Settings, name: str, engine: str, address: str) -> None:
    from catloader.bulk.engines.sources import TABLE

    plan = _plan_of(settings, name)
    with services_of(settings, may_create=plan.facts.source != TABLE) as services:
        run_and_tell(services, plan, engine, address)
    click.echo(state_of(plan))


@bulk.command()
@click.argument("name")
@pass_settings
def status(settings: Settings, name: str) -> None:
    """Show how much of the plan NAME is done."""
    for plan in plans_of(settings, name):
        click.echo(state_of(plan))


@bulk.command()
@click.argument("name")
@pass_settings
def cancel(settings: Settings, name: str) -> None:
    """Stop the process that runs the plan NAME after its current units."""
    from catloader.bulk.plan import BulkError

    plans = plans_of(settings, name)
    running = [plan for plan in plans if plan.is_running]
    if not running:
        raise BulkError("Nothing to cancel: " + " ".join(map(state_of, plans)))
    running[0].cancel()
    command = f"`catloader bulk resume {name}`" if len(plans) == 1 else "the same `catloader models shadow`"
    click.echo(f"The plan {name} stops after its current units; {command} continues it.")


@bulk.command()
@click.argument("name")
@click.option(
    "--csv", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write all results to a file."
)
@pass_settings
def flips(settings: Settings, name: str, path: Path | None) -> None:
    """Show the verdicts that would change, without writing them."""
    from catloader.bulk.flips import write_csv

    plan = _begun_plan_of(settings, name)
    show_flips(plan)
    if path is not None:
        click.echo(f"{counted(write_csv(plan, path), 'result')} written to {path}.")


@bulk.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_settings
def apply(settings: Settings, name: str, *, yes: bool) -> None:
    """Show the verdicts that change, ask, and write them into the table.

    Photos that a person decided, or that were checked since the plan was made, do not change.
    """
    from catloader.bulk.engines.sources import TABLE
    from catloader.server.database import migrated_database
    from catloader.store.db.checks.bulk import BulkTable

    plan = _begun_plan_of(settings, name)
    if plan.facts.source != TABLE:
        raise click.UsageError(
            "These photos are not the site's; `bulk flips --csv FILE` writes their verdicts to a file."
        )
    with migrated_database(settings) as engine:
        show_and_apply(plan, BulkTable(engine), yes=yes)
