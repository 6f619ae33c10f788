"""``catloader user``: manage accounts, without a mail server."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from getpass import GetPassWarning
from typing import TYPE_CHECKING

import click

from catloader.cli.context import pass_settings
from catloader.errors import NotFound
from catloader.settings import Settings

if TYPE_CHECKING:
    from catloader.store.db.accounts.users import Role, User, Users

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@click.group()
def user() -> None:
    """Manage accounts."""


@user.command()
@click.argument("email")
@click.option("--admin", is_flag=True, help="Grant administrator rights.")
@_password_option
@pass_settings
def create(settings: Settings, email: str, admin: bool, password_stdin: bool) -> None:
    """Create an account."""
    from catloader.accounts import accounts
    from catloader.store.db.engine import utcnow

    password = _read_password(password_stdin)
    with _users(settings, may_create=True) as users:
        created = accounts.register(users, email, password, utcnow(), is_admin=admin)
        click.echo(f"{created.email} is registered{' as an administrator' if admin else ''}.")


@user.command()
@click.argument("email")
@_password_option
@pass_settings
def reset_password(settings: Settings, email: str, password_stdin: bool) -> None:
    """Set a new password and end the account's sessions."""
    from catloader.accounts.passwords import hash_password

    with _users(settings) as users:
        account = account_of(users, email)
        users.reset_password(account.id, hash_password(_read_password(password_stdin), email=account.email))
        click.echo(f"{account.email} has a new password.")


@user.command()
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice(["admin", "reviewer"]),
    default="admin",
    show_default=True,
    help="Reviewers decide appeals and unsure photos; administrators may do that too.",
)
@pass_settings
def promote(settings: Settings, email: str, role: Role) -> None:
    """Make an account an administrator or a reviewer."""
    with _users(settings) as users:
        account = account_of(users, email)
        users.grant(account.id, role)
        click.echo(f"{account.email} is {'a reviewer' if role == 'reviewer' else 'an administrator'}.")


@user.command()
@click.argument("email")
@pass_settings
def password_link(settings: Settings, email: str) -> None:
    """Create a one-time link for setting a new password."""
    from catloader.server.database import migrated_database
    from catloader.store.db.accounts.one_time_links import OneTimeLinks
    from catloader.store.db.accounts.users import Users
    from catloader.store.db.engine import utcnow

    with migrated_database(settings) as engine:
        account, now = account_of(Users(engine), email), utcnow()
        expires_at = now + timedelta(minutes=settings.password_link_minutes)
        token = OneTimeLinks(engine).reset(account.id, None, now, expires_at)
    _show_link(settings, f"For {account.email}, to be used once", expires_at, f"/new-password/{token}")


@user.command()
@click.argument("email")
@pass_settings
def remove_factor(settings: Settings, email: str) -> None:
    """Remove the second factor of an account."""
    from catloader.server.database import migrated_database
    from catloader.store.db.accounts.second_factors import SecondFactors
    from catloader.store.db.accounts.users import Users
    from catloader.store.db.engine import utcnow

    with migrated_database(settings) as engine:
        account = account_of(Users(engine), email)
        removed = SecondFactors(engine).reset(account.id, None, utcnow())
    click.echo(f"{account.email} {'logs in with the password alone' if removed else 'has no second factor'}.")


@user.command()
@pass_settings
def invite(settings: Settings) -> None:
    """Create an invitation for one new account."""
    from catloader.server.database import migrated_database
    from catloader.store.db.accounts.one_time_links import OneTimeLinks
    from catloader.store.db.engine import utcnow

    now = utcnow()
    expires_at = now + timedelta(days=settings.invitation_days)
    with migrated_database(settings, may_create=True) as engine:
        token = OneTimeLinks(engine).invite(None, now, expires_at)
    _show_link(settings, "For one account", expires_at, f"/register?invitation={token}")


@user.command()
@pass_settings
def ls(settings: Settings) -> None:
    """List the accounts."""
    from catloader.server.database import migrated_database
    from catloader.store.db.accounts.users import Users
    from catloader.store.db.photos.photos import Photos

    with migrated_database(settings) as engine:
        users = Users(engine)
        accounts, photos = users.all(), Photos(engine).count_by_owner()
    if not accounts:
        click.echo(
            f"There is no account in the database {users.database}; `catloader user create` makes one."
        )
        return
    click.echo(f"{'ID':>6}  {'ROLE':<8}  {'SINCE':<10}  LAST LOG-IN  {'PHOTOS':>7}  E-MAIL")
    for account in accounts:
        since = f"{account.created_at:%Y-%m-%d}"
        last = f"{account.logged_in_at:%Y-%m-%d}" if account.logged_in_at else "-"
        stored = photos.get(account.id, 0)
        email = f"{account.email} (disabled)" if account.disabled_at else account.email
        click.echo(f"{account.id:>6}  {account.role:<8}  {since}  {last:<11}  {stored:>7}  {email}")


def _show_link(settings: Settings, purpose: str, expires_at: datetime, path: str) -> None:
    """Print a link, or only its path if the site's address is not set."""
    hint = "" if settings.public_url else ", after the site's address"
    click.echo(f"{purpose}, until {expires_at:%Y-%m-%d %H:%M} UTC{hint}:")
    click.echo(f"{settings.public_url.rstrip('/')}{path}")


@contextmanager
def _users(settings: Settings, *, may_create: bool = False) -> Iterator[Users]:
    from catloader.server.database import migrated_database
    from catloader.store.db.accounts.users import Users

    with migrated_database(settings, may_create=may_create) as engine:
        yield Users(engine)


def account_of(users: Users, email: str) -> User:
    """Return the account with this e-mail.

    Raises:
        NotFound: there is no such account.
    """
    account = users.by_email(email)
    if account is None:
        raise NotFound(f"There is no account {email} in the database {users.database}.")
    return account


def _read_password(from_stdin: bool) -> str:
    # Never a command-line argument: every user of the machine can see it, and the shell stores it.
    if from_stdin:
        try:
            line = sys.stdin.readline().rstrip("\r\n")
            line.encode()  # in some locales, reading does not refuse other bytes
        except UnicodeError:
            raise click.UsageError("The password is not UTF-8.") from None
        return line
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        try:
            password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        except GetPassWarning:  # the password would be visible while it is typed, or there is no terminal
            raise click.UsageError(
                "There is no terminal to type the password at; use --password-stdin."
            ) from None
    return password
