"""Links that can be used once within a limited time: to set a password, confirm an e-mail, or sign up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from catloader.store.db.accounts.account_lock import lock_both
from catloader.store.db.accounts.sessions import new_token
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.accounts.users import end_resets, normal_email, replace_password
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import (
    api_tokens,
    identities,
    one_time_links,
    passkeys,
    photos,
    recovery_codes,
    second_factors,
    share_links,
    users,
)
from catloader.store.db.staff.audit_log import record

_links = one_time_links.c


class OneTimeLinks:
    """One-time links. Only the digest of a token (256 bits) is stored; using the link deletes its row."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def invite(self, actor_id: int | None, now: datetime, expires_at: datetime) -> str:
        """Return the token of a new invitation."""
        with writing(self._engine) as connection:
            record(connection, actor_id, "invited somebody", f"until {expires_at:%Y-%m-%d %H:%M} UTC", now)
            return _add(connection, "invitation", None, now, expires_at)

    def reset(self, user_id: int, actor_id: int | None, now: datetime, expires_at: datetime) -> str:
        """Return the token of a new link to set a password, which ends earlier such links of the account.

        Raises:
            NotFound: one of the two accounts was deleted meanwhile.
        """
        with writing(self._engine) as connection:
            # The lock, like those below, prevents a link for an account that is being deleted.
            lock_both(connection, user_id, actor_id)
            email = connection.execute(select(users.c.email).where(users.c.id == user_id)).scalar_one()
            end_resets(connection, user_id)
            record(connection, actor_id, "made a password link", email, now)
            return _add(connection, "reset", user_id, now, expires_at)

    def mailed_reset(self, email: str, now: datetime, expires_at: datetime) -> str | None:
        """Return the token of a new link to set a password, for a mail to the account's address.

        Earlier links stay valid: otherwise a stranger could invalidate a person's link by requesting another.

        Returns:
            None: no account has this e-mail, or it is disabled.
        """
        query = select(users.c.id).where(users.c.email == normal_email(email), users.c.disabled_at.is_(None))
        with writing(self._engine) as connection:
            user_id = connection.execute(query.with_for_update()).scalar_one_or_none()
            if user_id is None:
                return None
            return _add(connection, "reset", user_id, now, expires_at, email=normal_email(email))

    def mailed_confirmation(self, email: str, now: datetime, expires_at: datetime) -> str | None:
        """Return the token of a new link that confirms an account's e-mail, for a mail to this address.

        Returns:
            None: no account has this e-mail, or it is already confirmed.
        """
        email = normal_email(email)
        query = select(users.c.id).where(users.c.email == email, users.c.email_confirmed_at.is_(None))
        with writing(self._engine) as connection:
            user_id = connection.execute(query.with_for_update()).scalar_one_or_none()
            return (
                None
                if user_id is None
                else _add(connection, "confirm", user_id, now, expires_at, email=email)
            )

    def may_confirm(self, token: str, user_id: int, now: datetime) -> bool:
        """Return True if the link confirms the e-mail of this account."""
        query = select(_links.email).where(_valid("confirm", token, now), _links.user_id == user_id)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def confirm_email(self, token: str, user_id: int, now: datetime) -> bool:
        """Use a link to confirm the account's e-mail.

        Returns:
            False: the link is unknown, used or expired, or belongs to another account or an earlier e-mail.
        """
        used = delete(one_time_links).where(_valid("confirm", token, now), _links.user_id == user_id)
        with writing(self._engine) as connection:
            _lock_account(connection, token)
            if connection.execute(used).rowcount != 1:
                return False
            connection.execute(update(users).where(users.c.id == user_id).values(email_confirmed_at=now))
        return True

    def user_of_reset(self, token: str, now: datetime) -> str | None:
        """Return the e-mail of the account whose password a link may set; None: the link is not valid."""
        query = select(users.c.email).join(one_time_links, _links.user_id == users.c.id)
        with reading(self._engine) as connection:
            return connection.execute(query.where(_valid("reset", token, now))).scalar_one_or_none()

    def set_password(self, token: str, password_hash: str, now: datetime) -> int | None:
        """Use a link to set the password; end the account's sessions and its other links; return its id.

        A link that was sent by mail also confirms the address. If the address was not confirmed before, a
        stranger may have made the account or given it this address, so all other means of access and all
        shared links end.

        Returns:
            None: the link is unknown, used or expired, and nothing was changed.
        """
        used = delete(one_time_links).where(_valid("reset", token, now))
        with writing(self._engine) as connection:
            _lock_account(connection, token)
            row = connection.execute(used.returning(_links.user_id, _links.email)).one_or_none()
            if row is None:
                return None
            if row.email:
                _confirm_by_reset(connection, row.user_id, now)
            replace_password(connection, row.user_id, password_hash)
        return int(row.user_id)

    def is_invitation(self, token: str, now: datetime) -> bool:
        with reading(self._engine) as connection:
            query = select(_links.token_sha256).where(_valid("invitation", token, now))
            return connection.execute(query).first() is not None


def use_invitation(connection: Connection, token: str, now: datetime) -> bool:
    """Use an invitation within the caller's transaction; False: it is unknown, used or expired."""
    return connection.execute(delete(one_time_links).where(_valid("invitation", token, now))).rowcount == 1


def _confirm_by_reset(connection: Connection, user_id: int, now: datetime) -> None:
    unconfirmed = (users.c.id == user_id) & users.c.email_confirmed_at.is_(None)
    if not connection.execute(update(users).where(unconfirmed).values(email_confirmed_at=now)).rowcount:
        return
    for table in (api_tokens, passkeys, identities, second_factors, recovery_codes):
        connection.execute(delete(table).where(table.c.user_id == user_id))
    photo_ids = select(photos.c.id).where(photos.c.owner_id == user_id)
    connection.execute(delete(share_links).where(share_links.c.photo_id.in_(photo_ids)))


def _lock_account(connection: Connection, token: str) -> None:
    """Lock the account of a link, whose e-mail could otherwise change at this moment."""
    user_id = select(_links.user_id).where(_links.token_sha256 == token_digest(token))
    connection.execute(select(users.c.id).where(users.c.id.in_(user_id)).with_for_update())


def _add(
    connection: Connection,
    purpose: str,
    user_id: int | None,
    now: datetime,
    expires_at: datetime,
    *,
    email: str | None = None,
) -> str:
    connection.execute(delete(one_time_links).where(_links.expires_at < now))
    token = new_token()
    row = {
        "token_sha256": token_digest(token),
        "purpose": purpose,
        "user_id": user_id,
        "expires_at": expires_at,
    }
    connection.execute(insert(one_time_links).values({**row, "email": email}))
    return token


def _valid(purpose: str, token: str, now: datetime) -> ColumnElement[bool]:
    # A mail proves only the address to which it was sent, not a later address of the account.
    current = select(users.c.email).where(users.c.id == _links.user_id).correlate(one_time_links)
    to_current = _links.email.is_(None) | (_links.email == current.scalar_subquery())
    is_good = (_links.purpose == purpose) & (_links.expires_at > now) & to_current
    return (_links.token_sha256 == token_digest(token)) & is_good
