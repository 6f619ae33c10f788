"""``catloader tokens``: API tokens of accounts. (Owners make theirs on the account page.)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from catloader.cli.accounts import account_of
from catloader.cli.context import pass_settings
from catloader.cli.options import NUMBER
from catloader.errors import NotFound, StartupError
from catloader.settings import Settings

if TYPE_CHECKING:
    from catloader.store.db.accounts.api_tokens import ApiTokens
    from catloader.store.db.accounts.users import User

_SCOPES = ("photos:read", "photos:write", "check")


@click.group()
def tokens() -> None:
    """Manage the API tokens of accounts."""


@tokens.command()
@click.argument("email")
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(_SCOPES), multiple=True, required=True, help="Repeatable."
)
@click.option("--days", type=click.IntRange(1, 3650), help="Validity of the token, in days.")
@pass_settings
def create(settings: Settings, email: str, name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token and print it; it can't be shown again."""
    from catloader.accounts.api_tokens import create as make
    from catloader.store.db.engine import utcnow
    from catloader.wiring import site_secret

    with _account(settings, email, needs_key=True) as (user, store):
        secret = site_secret(settings)
        token = make(store, user.id, name, scopes, days=days, secret=secret, now=utcnow(), by_command=True)
        click.echo(token)


@tokens.command("list")
@click.argument("email")
@pass_settings
def list_(settings: Settings, email: str) -> None:
    """List the tokens of an account, without their secrets."""
    with _account(settings, email) as (user, store):
        account_tokens = store.of_user(user.id)
        if account_tokens:
            click.echo(f"{'ID':>6}  {'LAST USED':<15}  {'ENDS':<18}  SCOPES  NAME")
        for token in account_tokens:
            used = f"used {token.used_at:%Y-%m-%d}" if token.used_at else "never used"
            ends = f"expires {token.expires_at:%Y-%m-%d}" if token.expires_at else "no end"
            click.echo(
                f"{token.id:>6}  {used:<15}  {ends:<18}  {' '.join(sorted(token.scopes))}  {token.name}"
            )
        if not account_tokens:
            click.echo(f"{user.email} has no API token.")


@tokens.command()
@click.argument("email")
@click.argument("id", type=NUMBER)
@pass_settings
def revoke(settings: Settings, email: str, id: int) -> None:
    """Revoke the token with this id; `tokens list` shows the ids."""
    with _account(settings, email) as (user, store):
        if not store.revoke(id, user.id, by_command=True):
            raise NotFound(f"{user.email} has no token {id}.")
        click.echo(f"Token {id} of {user.email} is revoked.")


@contextmanager
def _account(settings: Settings, email: str, *, needs_key: bool = False) -> Iterator[tuple[User, ApiTokens]]:
    from catloader.server.database import migrated_database
    from catloader.store.db.accounts.api_tokens import ApiTokens
    from catloader.store.db.accounts.users import Users
    from catloader.wiring.secrets import missing_key

    with migrated_database(settings) as engine:
        if needs_key and (sentence := missing_key(settings, engine)):  # the site would refuse the token
            raise StartupError(sentence)
        yield account_of(Users(engine), email), ApiTokens(engine, most=settings.max_api_tokens)
