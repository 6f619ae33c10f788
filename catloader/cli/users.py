"""Accounts from the command line: there is no mail server that could send a new password."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from catloader import accounts
from catloader.errors import NotFound
from catloader.settings import Settings
from catloader.store.db.users import User, Users

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@click.group()
def user() -> None:
    """Accounts."""


@user.command()
@click.argument("email")
@click.option("--admin", is_flag=True, help="Make it an administrator.")
@_password_option
def create(email: str, admin: bool, password_stdin: bool) -> None:
    """Make an account."""
    with _users() as users:
        password = _ask(password_stdin)
        made = accounts.register(users, email, password, datetime.now(UTC), is_admin=admin)
        click.echo(f"{made.email} is registered{' as an administrator' if admin else ''}.")


@user.command()
@click.argument("email")
@_password_option
def reset_password(email: str, password_stdin: bool) -> None:
    """Set a new password; every session of the account ends."""
    with _users() as users:
        found = _find(users, email)
        users.set_password(found.id, accounts.hash_password(_ask(password_stdin)))
        click.echo(f"{found.email} has a new password.")


@user.command()
@click.argument("email")
def promote(email: str) -> None:
    """Make an account an administrator."""
    with _users() as users:
        found = _find(users, email)
        users.promote(found.id)
        click.echo(f"{found.email} is an administrator.")


@user.command()
def ls() -> None:
    """List the accounts."""
    with _users() as users:
        for one in users.all():
            role = "admin" if one.is_admin else "user"
            click.echo(f"{one.id:>6}  {role:<5}  {one.created_at:%Y-%m-%d}  {one.email}")


@contextmanager
def _users() -> Iterator[Users]:
    from catloader.server.data_dir import database, usable_data_folder

    settings = Settings.from_environment()
    usable_data_folder(settings)
    with database(settings) as engine:
        yield Users(engine)


def _find(users: Users, email: str) -> User:
    found = users.by_email(accounts.normal_email(email))
    if found is None:
        raise NotFound(f"There is no account {email}.")
    return found


def _ask(from_stdin: bool) -> str:
    # Never an argument: those are seen by every user of the machine, and kept by the shell.
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
