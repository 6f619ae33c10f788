"""Sessions that were ended on purpose: their digests remain while a browser may still have the cookie.

The digests give no access. They distinguish a session that was ended, from another device or by a new
password, from a session that expired: only an ended session requires the browser to forget the account's
waiting photos.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.engine import utcnow
from catloader.store.db.schema import ended_sessions, sessions


def end_sessions(connection: Connection, user_id: int, *conditions: ColumnElement[bool]) -> int:
    """End the sessions of an account that meet all conditions; return their number.

    The caller has locked the account's row in this transaction, like a log-in.
    """
    ended = delete(sessions).where(sessions.c.user_id == user_id, *conditions)
    digests = connection.execute(ended.returning(sessions.c.token_sha256)).scalars().all()
    if digests:
        values = {"user_id": user_id, "ended_at": utcnow()}
        connection.execute(insert(ended_sessions), [{"token_sha256": digest, **values} for digest in digests])
    return len(digests)


def were_ended(connection: Connection, tokens: Iterable[str]) -> bool:
    """Return True if one of the tokens belongs to a session that was ended."""
    query = select(ended_sessions.c.token_sha256)
    digests = [token_digest(token) for token in tokens]
    return connection.execute(query.where(ended_sessions.c.token_sha256.in_(digests))).first() is not None


def delete_ended(connection: Connection, tokens: Iterable[str]) -> bool:
    """Delete the digests of these tokens; False: none of them belongs to a session that was ended."""
    digests = [token_digest(token) for token in tokens]
    ended = delete(ended_sessions).where(ended_sessions.c.token_sha256.in_(digests))
    return connection.execute(ended).rowcount > 0


def forget_ended(connection: Connection, user_id: int, now: datetime, *, after: timedelta, most: int) -> None:
    """Delete all digests whose cookies have expired, and all but the account's latest ``most`` digests.

    The caller has locked the account's row.

    Args:
        after: age at which a cookie has expired.
    """
    table = ended_sessions.c
    old = select(table.token_sha256).where(table.ended_at < now - after).with_for_update(skip_locked=True)
    connection.execute(delete(ended_sessions).where(table.token_sha256.in_(old)))
    is_own = table.user_id == user_id
    latest = select(table.token_sha256).where(is_own).order_by(table.ended_at.desc()).limit(most)
    connection.execute(delete(ended_sessions).where(is_own, table.token_sha256.not_in(latest)))
