"""``catloader models shadow``: compare the verdicts of a model with those of the one in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from catloader.checks.promotion import resolve_model
from catloader.cli.bulk.recheck_and_shadow import compared_in_bulk
from catloader.cli.context import pass_settings, services_of
from catloader.cli.options import bulk_option, sample_option
from catloader.settings import Settings
from models.catalogue import entry_named

if TYPE_CHECKING:
    from catloader.checks.shadow import Compared
    from catloader.wiring import Services


@click.command()
@click.argument("name")
@sample_option
@bulk_option
@pass_settings
def shadow(settings: Settings, name: str, sample: int | None, plan: str | None) -> None:
    """Compare a model's verdicts with the current ones.

    Runs model NAME and the one in use on photos checked before, and lists the verdicts that would change.
    No photo changes; administrators see the result on the page of models. With --bulk one model runs after
    the other, and the same command resumes a killed run.
    """
    from catloader.cli.models.shadow_report import ShadowReport
    from catloader.store.db.engine import utcnow

    models = resolve_model(settings)[0].name, entry_named(name, settings.weights_dir).name
    report = ShadowReport()
    with services_of(settings) as services:
        photos = (
            _compared(services, models, sample)
            if plan is None
            else compared_in_bulk(services, models, plan, sample)
        )
        for compared in photos:
            if (line := report.add(compared)) is not None:
                click.echo(line)
        services.model_choices.add_report(report.result(*models, utcnow()))
    for line in report.summary():
        click.echo(line)


def _compared(services: Services, models: tuple[str, str], sample: int | None) -> Iterator[Compared | None]:
    """Yield the decisions of both models, which are in memory together."""
    from catloader.checks.shadow import shadow as compare
    from catloader.store.s3.objects import S3ImageSource
    from catloader.wiring import load_model

    settings = services.settings
    current, candidate = (load_model(settings.with_changes(model=name)) for name in models)
    source, workers = S3ImageSource(services.objects), settings.checking_threads
    yield from compare(services.photos, source, current, candidate, sample=sample, workers=workers)
    for loaded in (current, candidate):
        loaded.classifier.close()
