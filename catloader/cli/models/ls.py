"""``catloader models ls``: the models, their measured rates, and the variant that checks here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from catloader.checks.promotion import models_in_force
from catloader.cli.context import pass_settings
from catloader.settings import Settings
from models.catalogue import Entry, all_entries, weights_path
from models.errors import ModelsError

if TYPE_CHECKING:
    from checker.runtimes.selection.variants import Variant


@click.command()
@pass_settings
def ls(settings: Settings) -> None:
    """List the models; `*` marks the model in use.

    Lists the measured variants, fastest first, and the rates of the fastest variant for each kind of photo.
    The model in use is loaded, to show which of its variants checks on this machine, and why no faster
    variant does.
    """
    try:
        in_use, serving = _serving(settings)
    except ModelsError as error:
        in_use, serving = "", str(error)
    entries = all_entries(settings.weights_dir)
    width = max(20, *map(len, entries))
    click.echo(f"  {'name':<{width}} {'acc@1':>6} {'MB':>5}  {'licence':<13} on disk")
    for entry in entries.values():
        mark = "*" if entry.name == in_use else " "
        path = weights_path(entry, settings.weights_dir)
        state, *rates = _measured(settings, entry, path) if path else ["no"]
        size = round(entry.bytes / 1e6)
        accuracy = "" if entry.acc1 is None else f"{entry.acc1:.2f}"
        click.echo(f"{mark} {entry.name:<{width}} {accuracy:>6} {size:>5}  {entry.licence:<13} {state}")
        for line in rates:
            click.echo(f"    {line}")
    click.echo(serving)


def _serving(settings: Settings) -> tuple[str, str]:
    """Return the model in use, and sentences on the variant that checks here and why no faster variant does.

    Raises:
        ModelsError: no weights are on disk.
    """
    from catloader.checks.runtime_request import runtime_request
    from checker.decision.subject import load_subject
    from checker.errors import ModelRefused
    from checker.runtimes.selection.select import select_model

    candidates = models_in_force(settings)
    try:
        choice = select_model(candidates, load_subject(settings.subject), runtime_request(settings))
    except ModelRefused as error:
        name = candidates[-1][0].name
        return name, f"{name} can't check here: {error}"
    choice.classifier.close()
    info = choice.classifier.model_info
    kind = info.versions.get("processor", "")
    device = f"{info.device}, {kind}" if kind else info.device
    serving = f"{info.model} checks here as {choice.variant} ({device})."
    return info.model, " ".join(filter(None, [serving, choice.why_not_faster]))


def _measured(settings: Settings, entry: Entry, path: Path) -> list[str]:
    """Return a line with the measured variants of a model, then the rates of the fastest, then faults."""
    from catloader.checks.runtime_request import runtime_request
    from checker.decision.subject import load_subject
    from checker.errors import ModelRefused
    from checker.runtimes.selection.variants import variants

    try:
        usable = list(variants(entry, path, load_subject(settings.subject), runtime_request(settings)))
    except ModelRefused as error:
        return [f"refused: {error}"]
    measured = [variant for variant in usable if variant.profile]
    faults = list(dict.fromkeys(variant.fault for variant in usable if variant.fault))
    if not measured:
        return [f"refused: {' '.join(faults)}" if faults else "yes; nothing measured"]
    names = ", ".join(f"{variant.runtime} {variant.precision}" for variant in measured)
    return [f"yes; measured: {names}", _rates(measured[0], settings.max_false_positive_rate), *faults]


def _rates(variant: Variant, max_fpr: float) -> str:
    """Return a line with the measured rates of a variant, per kind of photo."""
    from checker.decision.rates import rates_within
    from checker.errors import ModelRefused

    assert variant.profile
    try:
        rates = rates_within(variant.profile, max_fpr)
    except ModelRefused as error:
        return f"{variant}: {error}"
    subject = variant.profile.key.subject.name
    kinds = ", ".join(f"{kind} {share.rate:.2%} of {share.n}" for kind, share in rates.kinds.items())
    return (
        f"{variant}, for at most {rates.target:.1%}: {subject} found "
        f"{rates.recall.rate:.2%} of {rates.recall.n}; called {subject} in error: {kinds}"
    )
