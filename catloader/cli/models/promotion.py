"""``catloader models promote`` and ``rollback``: the model that ``CATCHECK_MODEL=auto`` means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from catloader.checks import promotion
from catloader.cli.context import pass_settings
from catloader.settings import Settings
from catloader.store.db.checks.model_choices import ModelChoices
from catloader.store.db.engine import utcnow
from checker.runtimes.selection.auto import AUTO
from models.catalogue import entry_named


@click.command()
@click.argument("name")
@pass_settings
def promote(settings: Settings, name: str) -> None:
    """Make `auto` use this model.

    It must load and pass its self-test. NAME `auto` returns to the best model on disk.
    """
    if name != AUTO:
        entry_named(name, settings.weights_dir)
    with _choices(settings, may_create=True) as choices:
        variant = _load_once(settings, name)
        choice = promotion.promote(settings, choices, name, None, utcnow(), is_loaded=True)
    promotion.keep(settings, choice)
    click.echo(f"{name} is promoted ({variant}); previous: {choice.previous}.")
    _tell_when(settings)


@click.command()
@pass_settings
def rollback(settings: Settings) -> None:
    """Undo the last promotion; run it again to redo.

    The previous model must load and pass its self-test.
    """
    with _choices(settings) as choices:
        name = promotion.rollback_target(settings, choices)
        variant = _load_once(settings, name)
        choice = promotion.roll_back(settings, choices, None, utcnow(), is_loaded=True)
    promotion.keep(settings, choice)
    click.echo(f"{name} is in use again ({variant}); previous: {choice.previous}.")
    _tell_when(settings)


@contextmanager
def _choices(settings: Settings, *, may_create: bool = False) -> Iterator[ModelChoices]:
    from catloader.server.database import migrated_database

    with migrated_database(settings, may_create=may_create) as engine:
        yield ModelChoices(engine)


def _load_once(settings: Settings, name: str) -> str:
    """Load the model as a site would, and return a description of its variant.

    Raises:
        ModelRefused, WeightsMissing: the model can't be loaded.
    """
    from catloader.wiring import load_classifier_and_rule

    if name == AUTO:  # in the settings, `auto` would mean the promoted model
        name = promotion.models_named(settings, AUTO)[0][0].name
    classifier, rule = load_classifier_and_rule(settings.with_changes(model=name))
    model_info = classifier.model_info
    classifier.close()
    return f"{model_info.model}, {model_info.runtime} {model_info.precision}, {rule.profile_id}"


def _tell_when(settings: Settings) -> None:
    if settings.model == AUTO:
        click.echo(f"Running checkers load it within {settings.sweep_s:g} s.")
    else:
        click.echo(
            f"CATCHECK_MODEL={settings.model} is set and wins; unset it for the promotion to take effect."
        )
