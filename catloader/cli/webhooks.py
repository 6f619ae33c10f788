"""``catloader webhooks``: the ledger of outgoing webhooks."""

from __future__ import annotations

import click

from catloader.cli.context import pass_settings
from catloader.cli.options import NUMBER
from catloader.errors import NotFound
from catloader.settings import Settings
from checker.plurals import counted


@click.group()
def webhooks() -> None:
    """List outgoing webhooks or send them again."""


@webhooks.command()
@click.option("--given-up", is_flag=True, help="Only deliveries that are no longer retried.")
@click.option("--limit", metavar="N", type=NUMBER, default=20, show_default=True)
@pass_settings
def ls(settings: Settings, given_up: bool, limit: int) -> None:
    """List the newest deliveries."""
    from catloader.server.database import migrated_database
    from catloader.store.db.webhooks.deliveries import WebhookDeliveries

    with migrated_database(settings) as engine:
        deliveries = WebhookDeliveries(engine).latest(limit, "given_up" if given_up else None)
        for delivery in deliveries:
            click.echo(
                f"{delivery.message_id:<20}  {delivery.created_at:%Y-%m-%d %H:%M:%S} UTC  "
                f"{delivery.state:<9}  {counted(delivery.attempts, 'attempt'):<11}  "
                f"{delivery.last_error or ''}".rstrip()
            )
        if not deliveries:
            click.echo(f"There is no {'given-up ' if given_up else ''}webhook in the ledger.")


@webhooks.command()
@click.argument("ids", metavar="[MESSAGE_ID]...", nargs=-1)
@click.option("--given-up", is_flag=True, help="Send all messages that are no longer retried.")
@pass_settings
def redeliver(settings: Settings, ids: tuple[str, ...], given_up: bool) -> None:
    """Send messages again, with a new series of attempts.

    A running site sends them within seconds, under the same ids.
    """
    from catloader.server.database import migrated_database
    from catloader.store.db.webhooks.deliveries import WebhookDeliveries, source_of

    if bool(ids) == given_up:
        raise click.UsageError("Give the ids of messages, or --given-up.")
    sources = []
    for id in ids:
        if (source := source_of(id)) is None:
            raise click.UsageError(f"{id} is not the id of a message; `catloader webhooks ls` shows the ids.")
        sources.append(source)
    with migrated_database(settings) as engine:
        sent = WebhookDeliveries(engine).redeliver(None if given_up else sources)
    click.echo(f"{counted(sent, 'message')} will be sent again.")
    if unknown := len(set(sources)) - sent if ids else 0:
        raise NotFound(
            f"{counted(unknown, 'id')} not in the ledger; `catloader webhooks ls` shows the ids in it."
        )
