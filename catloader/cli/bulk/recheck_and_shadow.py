"""The option ``--bulk`` of ``check recheck`` and ``models shadow``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from catloader.cli.bulk.flips import show_and_apply
from catloader.cli.bulk.run import UNIT_ROWS, folder_of, run_and_tell, state_of
from catloader.cli.context import services_of
from catloader.settings import Settings
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.bulk.plan import Plan
    from catloader.checks.shadow import Compared
    from catloader.store.db.checks.rechecks import RecheckFilter
    from catloader.wiring import Services


def recheck_in_bulk(
    settings: Settings, name: str, conditions: RecheckFilter, limit: int | None, *, yes: bool
) -> None:
    """Check finished photos again: plan, run, show the changed verdicts, and write them."""
    from catloader.bulk.manifest import parquet
    from catloader.bulk.planning import plan_of_table
    from catloader.store.db.checks.bulk import BulkTable
    from catloader.wiring import checking_model

    parquet()
    model = checking_model(settings)
    with services_of(settings) as services:
        folder = folder_of(settings, name)
        plan = plan_of_table(services, folder, model, conditions, UNIT_ROWS, limit=limit)
        click.echo(
            f"{counted(plan.facts.photos, 'photo')} planned. If this is interrupted, continue with "
            f"`catloader bulk resume {name}` and `catloader bulk apply {name}`."
        )
        _run_to_its_end(services, plan)
        show_and_apply(plan, BulkTable(services.engine), yes=yes)


def compared_in_bulk(
    services: Services, models: tuple[str, str], name: str, sample: int | None
) -> Iterator[Compared | None]:
    """Run two plans of the same photos, current model first, and yield the decisions of both."""
    from catloader.bulk.manifest import parquet
    from catloader.bulk.shadow import compared, shadow_plans
    from catloader.store.db.checks.bulk import BulkTable

    parquet()
    table = BulkTable(services.engine)
    pair = shadow_plans(table, folder_of(services.settings, name), models, UNIT_ROWS, sample)
    for plan in pair:
        _run_to_its_end(services, plan)
    yield from compared(pair, table)


def _run_to_its_end(services: Services, plan: Plan) -> None:
    """Run a plan and print its state.

    Raises:
        BulkError: the plan was cancelled.
    """
    from catloader.bulk.plan import BulkError

    run_and_tell(services, plan)
    if plan.done() < plan.units:
        raise BulkError(state_of(plan))
    click.echo(state_of(plan))
