"""Options that several commands share, and what their values may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from catloader.store.db.schema import Status


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
        raise click.BadParameter("it must be the first 4 to 64 hex digits of the weights' sha256.")
    return text


def chosen_status(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Status | None:
    from catloader.store.db.checks.rechecks import FINISHED

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
sample_option = click.option(
    "--sample", metavar="N", type=click.IntRange(min=1), help="Only N photos, chosen at random."
)
bulk_option = click.option(
    "--bulk",
    "plan",
    metavar="PLAN",
    help="For very many photos: use a plan of this name, which can be resumed (`catloader bulk`).",
)
