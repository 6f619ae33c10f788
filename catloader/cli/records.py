"""What was decided once: prove it, take it again, see what another network would say, and change networks."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from catloader.checks import promotion
from catloader.settings import Settings
from catloader.store.db.rechecks import FINISHED, Rechecks, Which
from catloader.store.db.schema import Status
from models.catalogue import entry_named, resolve

if TYPE_CHECKING:
    from catloader.wiring import Services


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no ISO time, as in 2026-01-31 or 2026-01-31T12:00Z.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _digest(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch("[0-9a-f]{4,64}", text):
        raise click.BadParameter("it takes the first 4 to 64 hex digits of the weights' sha256.")
    return text


_since = click.option(
    "--since", metavar="ISO", callback=_time, help="Checked then or later; UTC if not said."
)
_sample = click.option("--sample", metavar="N", type=click.IntRange(min=1), help="Only N, drawn at random.")


@click.command()
@_since
@_sample
def verify(since: datetime | None, sample: int | None) -> None:
    """Replay logged decisions from S3; exit code 1 when one differs.

    Only those of the network, runtime, precision and profile in force; the others are counted.
    """
    from catloader.checks.records import replay, replay_key
    from catloader.store.s3.objects import S3ImageSource
    from catloader.wiring import load_classifier_and_rule

    replayed = differ = 0
    with _services() as services:
        settings, log = services.settings, services.check_log
        classifier, rule = load_classifier_and_rule(settings)
        others = log.count_not_replayable(replay_key(classifier, rule), since)
        source = S3ImageSource(services.objects)
        for one in replay(
            log, source, classifier, rule, since=since, sample=sample, workers=_workers(settings)
        ):
            replayed += 1
            if one.difference is None:
                continue
            record = one.logged.record
            differ += not one.within_tolerance
            note = "  (within a GPU's tolerance)" if one.within_tolerance else ""
            click.echo(f"photo {record.photo_id}  check {record.id}  {one.difference}{note}")
        classifier.close()
    click.echo(f"{replayed} replayed, {differ} differ; {others} by another network.")
    if differ:
        raise SystemExit(1)


@click.command()
@click.option("--model-digest", metavar="D", callback=_digest, help="Whose verdict rests on these weights.")
@click.option("--band", type=click.Choice([str(status) for status in FINISHED]), help="Whose status is this.")
@_since
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most N, oldest first.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
def recheck(
    model_digest: str | None, band: str | None, since: datetime | None, limit: int | None, dry_run: bool
) -> None:
    """Let finished photos wait for their check again; all that is named must hold.

    What a person has decided stays as it is.
    """
    from catloader.server.data_dir import database, usable_data_folder

    if model_digest is None and band is None and since is None:
        raise click.UsageError("Say which: --model-digest, --band or --since.")
    which = Which(model_digest, Status(band) if band else None, since)
    settings = Settings.from_environment()
    usable_data_folder(settings)
    with database(settings) as engine:
        rechecks = Rechecks(engine)
        kept = rechecks.count_decided_by_people(which)
        if dry_run:
            photos = min(rechecks.count(which), limit or sys.maxsize)
        else:
            photos = rechecks.set_back(which, datetime.now(UTC), limit)
    wait = "would wait" if dry_run else "waits" if photos == 1 else "wait"
    click.echo(f"{_photos(photos)} {wait} for another check.")
    if kept:
        click.echo(f"{_photos(kept)} decided by people {'stays' if kept == 1 else 'stay'} so.")


@click.command()
@click.argument("name")
@_sample
def shadow(name: str, sample: int | None) -> None:
    """Run NAME beside the network in force, over photos checked before; list verdicts that would flip.

    Nothing is written.
    """
    from catloader.checks.records import shadow as run
    from catloader.store.s3.objects import S3ImageSource
    from catloader.wiring import load_model

    entry_named(name)
    flips: Counter[str] = Counter()
    compared = unread = up = right_now = right_then = 0
    with _services() as services:
        settings = services.settings
        current, candidate = load_model(settings), load_model(settings.with_changes(model=name))
        source = S3ImageSource(services.objects)
        for one in run(
            services.photos, source, current, candidate, sample=sample, workers=_workers(settings)
        ):
            if one is None:
                unread += 1
                continue
            compared += 1
            if not one.flips:
                continue
            was, would = one.current, one.candidate
            human = one.photo.human_verdict
            flips[f"{was.verdict} -> {would.verdict}"] += 1
            up += one.towards_cat
            right_now += was.verdict == human
            right_then += would.verdict == human
            click.echo(
                f"photo {one.photo.photo_id:>8}  {was.verdict:>7} {was.score:.4f} -> "
                f"{would.verdict:>7} {would.score:.4f}" + (f"  a person says {human}" if human else "")
            )
        for loaded in (current, candidate):
            loaded.classifier.close()
    down = flips.total() - up
    click.echo(f"{compared} compared: {up} would move towards cat, {down} away from it.")
    for change, photos in sorted(flips.items()):
        click.echo(f"  {change:<20} {photos}")
    if right_now or right_then:
        click.echo(f"Where people decided: {right_now} would become wrong, {right_then} right.")
    if unread:
        click.echo(f"{unread} could not be read.")


@click.command()
@click.argument("name")
def promote(name: str) -> None:
    """Make NAME what CATCHECK_MODEL=auto means, when it loads and stands its self-test."""
    from catloader.server.data_dir import usable_data_folder

    settings = Settings.from_environment()
    usable_data_folder(settings)
    entry_named(name)
    how = _tried(settings, name)
    choice = promotion.promote(settings, name)
    click.echo(f"{name} is promoted ({how}); before it: {choice.previous}.")
    _say_when(settings)


@click.command()
def rollback() -> None:
    """Go back to the network before the last promotion, when it loads and stands its self-test."""
    settings = Settings.from_environment()
    name = promotion.back(settings)
    how = _tried(settings, resolve(name, settings.weights_dir)[0].name)
    choice = promotion.promote(settings, name)
    click.echo(f"{name} is back ({how}); before it: {choice.previous}.")
    _say_when(settings)


def _tried(settings: Settings, name: str) -> str:
    """Load it as a site would. Raises ModelRefused, WeightsMissing."""
    from catloader.wiring import load_classifier_and_rule

    classifier, rule = load_classifier_and_rule(settings.with_changes(model=name))
    model_info = classifier.model_info
    classifier.close()
    return f"{model_info.model}, {model_info.runtime} {model_info.precision}, {rule.profile_id}"


def _say_when(settings: Settings) -> None:
    if settings.model == promotion.AUTO:
        click.echo("Sites and workers take it at their next start.")
    else:
        click.echo(f"CATCHECK_MODEL={settings.model} is set and wins: unset it for the promotion to count.")


@contextmanager
def _services() -> Iterator[Services]:
    from catloader.server.data_dir import beside, database, usable_data_folder
    from catloader.wiring import build

    settings = Settings.from_environment()
    usable_data_folder(settings)
    with beside(settings) as with_s3:
        with database(settings):
            pass  # its tables are up to date now
        services = build(with_s3, checker=False)
        try:
            yield services
        finally:
            services.close()


def _workers(settings: Settings) -> int:
    from checker.cores import available_cores

    return settings.workers or available_cores()


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
