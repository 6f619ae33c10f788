"""``catloader check verify|recheck``: replay and repeat past decisions."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from catloader.cli.context import pass_settings, services_of
from catloader.cli.options import (
    NUMBER,
    bulk_option,
    chosen_digest,
    chosen_status,
    sample_option,
    since_option,
)
from catloader.settings import Settings
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.store.db.schema import Status


_MANY = 100_000


@click.command()
@since_option
@sample_option
@pass_settings
def verify(settings: Settings, since: datetime | None, sample: int | None) -> None:
    """Replay logged decisions and compare them.

    Only decisions of the model, runtime, precision and profile in use are replayed; other decisions are
    counted.
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
        workers = settings.checking_threads
        for result in replay(log, source, classifier, rule, since=since, sample=sample, workers=workers):
            replayed += 1
            if result.difference is None:
                continue
            record = result.logged.record
            tolerated += result.within_tolerance
            differ += not result.within_tolerance
            note = "  (within a GPU's tolerance)" if result.within_tolerance else ""
            click.echo(f"photo {record.photo_id}  check {record.id}  {result.difference}{note}")
        classifier.close()
    click.echo(_replay_summary(replayed, differ, tolerated, skipped))
    if differ:
        raise SystemExit(1)


def _replay_summary(replayed: int, differ: int, tolerated: int, skipped: int) -> str:
    if differ:
        result = f", {differ} differ{'s' if differ == 1 else ''}"
    elif tolerated:
        result = f", all identical except {tolerated} within a GPU's tolerance"
    else:
        result = ", all identical" if replayed else ""
    others = (
        f"; {skipped} by another model, variant or profile, or on replaced objects, skipped"
        if skipped
        else ""
    )
    return f"{counted(replayed, 'decision')} replayed{result}{others}."


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
@click.option("--limit", metavar="N", type=NUMBER, help="At most N photos, oldest first.")
@click.option("--dry-run", is_flag=True, help="Only count the photos; change nothing.")
@bulk_option
@click.option("--yes", is_flag=True, help="With --bulk: write the verdicts without asking.")
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
    plan: str | None,
    yes: bool,
) -> None:
    """Queue finished photos for another check.

    Photos must meet all given conditions. People's verdicts do not change. With --bulk the photos are checked
    at once, outside the queue, and the verdicts that change are shown before they are written.
    """
    from catloader.cli.bulk.recheck_and_shadow import recheck_in_bulk
    from catloader.server.database import migrated_database
    from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks

    status = status or band
    if model_digest is None and status is None and since is None:
        raise click.UsageError("Give at least one of --model-digest, --status and --since.")
    conditions = RecheckFilter(model_digest, status, since)
    with migrated_database(settings) as engine:
        rechecks = Rechecks(engine)
        rechecks.require_weights(conditions)
        by_people, matching = rechecks.count_decided_by_people(conditions), rechecks.count(conditions)
        photos = min(matching, limit or sys.maxsize)
        if dry_run:
            click.echo(f"Would re-check {counted(photos, 'photo')} (dry run; nothing changed).")
        elif plan is None:
            if photos > _MANY:
                click.echo(f"New uploads wait behind these {photos} photos; --bulk avoids this.", err=True)
            photos = rechecks.requeue(conditions, limit)
            click.echo(f"Queued {counted(photos, 'photo')} for another check.")
    if plan is not None and not dry_run:
        recheck_in_bulk(settings, plan, conditions, limit, yes=yes)
    if by_people:
        verb = "stays" if by_people == 1 else "stay"
        click.echo(f"{counted(by_people, 'photo')} decided by people {verb} unchanged.")
