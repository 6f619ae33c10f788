"""``catloader models promote`` and ``rollback``: the model that ``CATCHECK_MODEL=auto`` means."""

from __future__ import annotations

import click

from catloader.checks import promotion
from catloader.cli.context import pass_settings
from catloader.settings import Settings
from checker.runtimes.auto import AUTO
from models.catalogue import entry_named


@click.command()
@click.argument("name")
@pass_settings
def promote(settings: Settings, name: str) -> None:
    """Make a model the one that `auto` means.

    It must load and pass its self-test.
    """
    from catloader.server.data_dir import prepare_data_dir

    prepare_data_dir(settings)
    entry_named(name)
    variant = _load_once(settings, name)
    choice = promotion.promote(settings, name)
    click.echo(f"{name} is promoted ({variant}); previous: {choice.previous}.")
    _tell_when(settings)


@click.command()
@pass_settings
def rollback(settings: Settings) -> None:
    """Undo the last promotion; twice redoes it.

    The model before must load and pass its self-test.
    """
    name = promotion.rollback_target(settings)
    variant = _load_once(settings, promotion.models_named(settings, name)[0][0].name)
    choice = promotion.promote(settings, name)
    click.echo(f"{name} is back ({variant}); previous: {choice.previous}.")
    _tell_when(settings)


def _load_once(settings: Settings, name: str) -> str:
    """Load the model as a site would, and describe it. Raises ModelRefused, WeightsMissing."""
    from catloader.wiring import load_classifier_and_rule

    classifier, rule = load_classifier_and_rule(settings.with_changes(model=name))
    model_info = classifier.model_info
    classifier.close()
    return f"{model_info.model}, {model_info.runtime} {model_info.precision}, {rule.profile_id}"


def _tell_when(settings: Settings) -> None:
    if settings.model == AUTO:
        click.echo("Sites and workers use it from their next start.")
    else:
        click.echo(
            f"CATCHECK_MODEL={settings.model} is set and wins; unset it for the promotion to take effect."
        )
