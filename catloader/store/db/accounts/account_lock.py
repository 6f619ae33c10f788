"""Locks on an account's row. Transactions that write rows which refer to the account take such a lock first.

The deletion of an account locks its row, then its photos. A transaction that locked a photo first could
deadlock with the deletion.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Select, false, select

from catloader.errors import NotFound
from catloader.languages import gettext_noop
from catloader.store.db.schema import users

_GONE = gettext_noop("This account does not exist any more.")
_NONE = false()


def lock_account(connection: Connection, user_id: int) -> None:
    """Make the account's other writers wait until the caller's transaction has ended.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    _refuse_missing(connection, select(users.c.id).where(users.c.id == user_id).with_for_update())


def lock_both(
    connection: Connection, user_id: int, actor_id: int | None, others: ColumnElement[bool] = _NONE
) -> None:
    """Lock an account, the account of the actor, and accounts that meet a condition, by rising id.

    In another order, two transactions that act on each other's account could deadlock.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    ids = [id for id in (user_id, actor_id) if id is not None]
    rows = select(users.c.id).where(users.c.id.in_(ids) | others).order_by(users.c.id).with_for_update()
    if user_id not in connection.execute(rows).scalars().all():
        raise NotFound(_GONE)


def keep_account(connection: Connection, user_id: int) -> None:
    """Make the account's deletion and ``lock_account``, but no others, wait for the caller's transaction.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    row = select(users.c.id).where(users.c.id == user_id)
    _refuse_missing(connection, row.with_for_update(read=True, key_share=True))


def _refuse_missing(connection: Connection, row: Select[int]) -> None:
    if connection.execute(row).first() is None:
        raise NotFound(_GONE)
