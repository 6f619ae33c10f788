"""``catloader check verify|recheck`` and ``models shadow``: replay, repeat and compare past decisions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from catloader.cli.context import count, pass_settings
from catloader.settings import Settings
from checker.cores import available_cores
from models.catalogue import entry_named

if TYPE_CHECKING:
    from catloader.store.db.schema import Status
    from catloader.wiring import Services


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not an ISO time, as in 2026-01-31 or 2026-01-31T12:00Z."
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def chosen_digest(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch("[0-9a-f]{4,64}", text):
        raise click.BadParameter("it takes the first 4 to 64 hex digits of the weights' sha256.")
    return text


def chosen_status(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Status | None:
    from catloader.store.db.rechecks import FINISHED

    if text is None:
        return None
    for status in FINISHED:
        if status == text:
            return status
    raise click.BadParameter(f"{text!r} is not one of {', '.join(FINISHED)}.")


since_option = click.option(
    "--since",
    metavar="TIME",
    callback=_time,
    help="Only photos checked at TIME or later (ISO, UTC by default).",
)
_sample = click.option(
    "--sample", metavar="N", type=click.IntRange(min=1), help="Only N photos, chosen at random."
)


@click.command()
@since_option
@_sample
@pass_settings
def verify(settings: Settings, since: datetime | None, sample: int | None) -> None:
    """Replay logged decisions and compare them.

    Only decisions of the model, runtime, precision and profile in use are replayed; the others are counted.
    Exit code 1: a decision differs.
    """
    from catloader.checks.replay import replay, replay_key
    from catloader.store.s3.objects import S3ImageSource
    from catloader.wiring import load_classifier_and_rule

    replayed = differ = tolerated = 0
    with services_of(settings) as services:
        log, source = services.check_log, S3ImageSource(services.objects)
        classifier, rule = load_classifier_and_rule(settings)
        skipped = log.count_not_replayable(replay_key(classifier, rule), since)
        workers = settings.workers or available_cores()
        for one in replay(log, source, classifier, rule, since=since, sample=sample, workers=workers):
            replayed += 1
            if one.difference is None:
                continue
            record = one.logged.record
            tolerated += one.within_tolerance
            differ += not one.within_tolerance
            note = "  (within a GPU's tolerance)" if one.within_tolerance else ""
            click.echo(f"photo {record.photo_id}  check {record.id}  {one.difference}{note}")
        classifier.close()
    click.echo(_replay_summary(replayed, differ, tolerated, skipped))
    if differ:
        raise SystemExit(1)


def _replay_summary(replayed: int, differ: int, tolerated: int, skipped: int) -> str:
    if differ:
        result = f", {differ} differ{'s' if differ == 1 else ''}"
    elif tolerated:
        result = f", all identical but {tolerated} within a GPU's tolerance"
    else:
        result = ", all identical" if replayed else ""
    others = (
        f"; {skipped} by another model, variant or profile, or on replaced objects, skipped"
        if skipped
        else ""
    )
    return f"{count(replayed, 'decision')} replayed{result}{others}."


@click.command()
@click.option(
    "--model-digest",
    metavar="DIGEST",
    callback=chosen_digest,
    help="Only photos decided by these weights (first digits of the sha256).",
)
@click.option(
    "--status",
    metavar="STATUS",
    callback=chosen_status,
    help="Only photos with this status: cat, unsure, not_cat, unreadable or failed.",
)
@click.option(
    "--band", metavar="STATUS", callback=chosen_status, hidden=True, help="The former name of --status."
)
@since_option
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most N photos, oldest first.")
@click.option("--dry-run", is_flag=True, help="Only count them; change nothing.")
@pass_settings
def recheck(
    settings: Settings,
    *,
    model_digest: str | None,
    status: Status | None,
    band: Status | None,
    since: datetime | None,
    limit: int | None,
    dry_run: bool,
) -> None:
    """Queue finished photos for another check.

    Photos must meet all conditions given. Verdicts of people stay as they are.
    """
    from catloader.server.database import migrated_database
    from catloader.store.db.rechecks import RecheckFilter, Rechecks

    status = status or band
    if model_digest is None and status is None and since is None:
        raise click.UsageError("Give at least one of --model-digest, --status and --since.")
    conditions = RecheckFilter(model_digest, status, since)
    with migrated_database(settings) as engine:
        rechecks = Rechecks(engine)
        kept = rechecks.count_decided_by_people(conditions)
        if dry_run:
            photos = min(rechecks.count(conditions), limit or sys.maxsize)
            click.echo(f"Would re-check {count(photos, 'photo')} (dry run; nothing changed).")
        else:
            photos = rechecks.requeue(conditions, limit)
            click.echo(f"Queued {count(photos, 'photo')} for another check.")
    if kept:
        click.echo(f"{count(kept, 'photo')} decided by people {'stays' if kept == 1 else 'stay'} unchanged.")


@click.command()
@click.argument("name")
@_sample
@pass_settings
def shadow(settings: Settings, name: str, sample: int | None) -> None:
    """Compare a model's verdicts with the current ones.

    Runs model NAME beside the one in use, on photos checked before, and lists the verdicts that would change.
    No photo changes; administrators see the result on the page of models.
    """
    from catloader.checks.shadow import shadow as compare
    from catloader.cli.shadow_report import ShadowReport
    from catloader.store.db.engine import utcnow
    from catloader.store.s3.objects import S3ImageSource
    from catloader.wiring import load_model

    entry_named(name)
    report = ShadowReport()
    with services_of(settings) as services:
        current, candidate = load_model(settings), load_model(settings.with_changes(model=name))
        source = S3ImageSource(services.objects)
        workers = settings.workers or available_cores()
        for compared in compare(services.photos, source, current, candidate, sample=sample, workers=workers):
            if (line := report.add(compared)) is not None:
                click.echo(line)
        names = [loaded.classifier.model_info.model for loaded in (current, candidate)]
        for loaded in (current, candidate):
            loaded.classifier.close()
        services.model_choices.add_report(report.result(names[0], names[1], utcnow()))
    for line in report.summary():
        click.echo(line)


@contextmanager
def services_of(settings: Settings) -> Iterator[Services]:
    from catloader.server.data_dir import prepare_data_dir
    from catloader.server.database import migrate_database
    from catloader.server.object_store import shared_or_own_object_store
    from catloader.wiring import build

    prepare_data_dir(settings)
    with shared_or_own_object_store(settings) as with_s3:
        migrate_database(settings)
        services = build(with_s3, checker=False)
        try:
            yield services
        finally:
            services.close()
