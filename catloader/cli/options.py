"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from catloader.store.db.schema import Status


MOST_LISTED = 20
"""Maximum number of rows of a list that a command prints, followed by a hint if there are more."""


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError: in UTC, before year 1 or after 9999
        raise click.BadParameter(
            f"{text!r} is not an ISO time, as in 2026-01-31 or 2026-01-31T12:00Z."
        ) from None


def not_empty(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Refuse an empty argument: an unset variable must not mean all accounts or all photos."""
    if text == "":
        raise click.BadParameter("it is empty.")
    return text


def utf8(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Refuse an argument that is not UTF-8: it has lone surrogates, which can't be sent or stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not UTF-8.") from None
    return text


def one_line(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Refuse line breaks and control characters, because lists and tables show the text on one line."""
    if not text.isprintable():
        raise click.BadParameter("it must be one line without control characters.")
    return text.strip()


def chosen_digest(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch("[0-9a-fA-F]{4,64}", text):
        raise click.BadParameter("it must be the first 4 to 64 hex digits of the weights' sha256.")
    return text and text.lower()


def chosen_status(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Status | None:
    from catloader.store.db.checks.rechecks import FINISHED

    if text is None:
        return None
    for status in FINISHED:
        if status == text:
            return status
    raise click.BadParameter(f"{text!r} is not one of {', '.join(FINISHED)}.")


NUMBER = click.IntRange(1, 10**9)
"""A number of rows or the ID of a row, within the range of a database integer."""

since_option = click.option(
    "--since",
    metavar="TIME",
    callback=_time,
    help="Only photos checked at TIME or later (ISO, UTC by default).",
)
sample_option = click.option("--sample", metavar="N", type=NUMBER, help="Only N photos, chosen at random.")
bulk_option = click.option(
    "--bulk",
    "plan",
    metavar="PLAN",
    help="For very many photos: use a plan of this name, which can be resumed (`catloader bulk`).",
)
