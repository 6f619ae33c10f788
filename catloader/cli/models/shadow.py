"""``catloader models shadow``: compare a model's verdicts with those of the model in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from catloader.cli.bulk.recheck_and_shadow import compared_in_bulk
from catloader.cli.context import pass_settings, services_of
from catloader.cli.options import bulk_option, sample_option
from catloader.settings import Settings
from models.catalogue import entry_named, resolve

if TYPE_CHECKING:
    from catloader.checks.shadow import Compared
    from catloader.wiring import Services
    from checker.pipeline import LoadedModel


@click.command()
@click.argument("name")
@sample_option
@bulk_option
@pass_settings
def shadow(settings: Settings, name: str, sample: int | None, plan: str | None) -> None:
    """Compare a model's verdicts with the current ones.

    Runs model NAME and the model in use on photos that were checked before, and lists the verdicts that would
    change. No photo changes; administrators see the result on the page of models. With --bulk, one model runs
    after the other, and the same command resumes a killed run.
    """
    from tqdm import tqdm

    from catloader.cli.models.shadow_report import ShadowReport
    from catloader.store.db.engine import utcnow
    from catloader.wiring import checking_model, load_model

    candidate, report = entry_named(name, settings.weights_dir).name, ShadowReport()
    if plan is None:  # fail before the seconds that loading takes; finished plans need no weights
        resolve(candidate, settings.weights_dir)
    click.echo("Loading the models ...", err=True)  # loading takes up to 12 s
    with services_of(settings) as services:
        photos: Iterable[Compared | None]
        if plan is None:
            pair = load_model(settings), load_model(settings.with_changes(model=candidate))
            models = pair[0].classifier.model_info.model, candidate
            photos = tqdm(_compared(services, *pair, sample), "Comparing", unit=" photos", disable=None)
        else:
            models = checking_model(settings), candidate
            photos = compared_in_bulk(services, models, plan, sample)
        for compared in photos:
            if (line := report.add(compared)) is not None:
                with tqdm.external_write_mode():
                    click.echo(line)
        services.model_choices.add_report(report.result(*models, utcnow()))
    for line in report.summary():
        click.echo(line)


def _compared(
    services: Services, current: LoadedModel, candidate: LoadedModel, sample: int | None
) -> Iterator[Compared | None]:
    """Yield the decisions of both models, which are in memory at the same time; close them at the end."""
    from catloader.checks.shadow import shadow as compare
    from catloader.store.s3.objects import S3ImageSource

    source, workers = S3ImageSource(services.objects), services.settings.checking_threads
    yield from compare(services.photos, source, current, candidate, sample=sample, workers=workers)
    for loaded in (current, candidate):
        loaded.classifier.close()
