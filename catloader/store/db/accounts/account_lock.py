"""The lock of an account's row, which writers of its other rows take first."""

from __future__ import annotations

from sqlalchemy import Connection, select

from catloader.errors import NotFound
from catloader.store.db.schema import users


def lock_account(connection: Connection, user_id: int) -> None:
    """Let the account's other writers wait until the caller's transaction has ended.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    row = select(users.c.id).where(users.c.id == user_id).with_for_update()
    if connection.execute(row).first() is None:
        raise NotFound("This account does not exist any more.")
