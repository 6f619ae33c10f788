"""The rows of identities, with which people log in through a provider, and of unlinked accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.errors import EmailTaken, ProviderRefused, RegistrationClosed
from catloader.store.db.accounts.account_lock import lock_account
from catloader.store.db.accounts.one_time_links import use_invitation
from catloader.store.db.accounts.users import User, normal_email
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import identities, unlinked_accounts, users


class Identities:
    """Identities, found by issuer and subject. An account may have several."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def user_of(self, issuer: str, subject: str) -> User | None:
        is_it = (identities.c.issuer == issuer) & (identities.c.subject == subject)
        query = select(*users.c).join(identities, identities.c.user_id == users.c.id).where(is_it)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return User(**row._mapping) if row else None

    def is_linked(self, issuer: str, user_id: int) -> bool:
        query = select(identities.c.subject).where(
            identities.c.issuer == issuer, identities.c.user_id == user_id
        )
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def link(self, user_id: int, issuer: str, subject: str, now: datetime, *, by_owner: bool) -> bool:
        """Link an account whose e-mail the provider has verified; the e-mail then counts as confirmed.

        Args:
            by_owner: the owner requested the link on the account page.

        Returns:
            False: the owner had unlinked the account before, so nothing was changed.

        Raises:
            NotFound: the account was deleted meanwhile.
            ProviderRefused: the identity was linked to another account meanwhile.
        """
        mark = (unlinked_accounts.c.user_id == user_id) & (unlinked_accounts.c.issuer == issuer)
        with writing(self._engine) as connection:
            lock_account(connection, user_id)  # else it could be linked while its owner unlinks it
            if by_owner:
                connection.execute(delete(unlinked_accounts).where(mark))
            elif connection.execute(select(unlinked_accounts.c.user_id).where(mark)).first() is not None:
                return False
            _link_once(connection, user_id, issuer, subject, now)
            unconfirmed = (users.c.id == user_id) & users.c.email_confirmed_at.is_(None)
            connection.execute(update(users).where(unconfirmed).values(email_confirmed_at=now))
        return True

    def unlink(self, user_id: int, issuer: str, now: datetime) -> bool:
        """Delete the account's identities at this provider, and mark the account as unlinked.

        Returns:
            False: the account has no identity there.
        """
        is_own = (identities.c.issuer == issuer) & (identities.c.user_id == user_id)
        row = {"user_id": user_id, "issuer": issuer, "unlinked_at": now}
        with writing(self._engine) as connection:
            lock_account(connection, user_id)
            if connection.execute(delete(identities).where(is_own)).rowcount == 0:
                return False
            # The account has no mark yet: ``link`` deletes the mark when it adds an identity.
            connection.execute(insert(unlinked_accounts).values(row))
        return True

    def sign_up(
        self,
        issuer: str,
        subject: str,
        email: str,
        password_hash: str,
        *,
        invitation: str | None,
        now: datetime,
    ) -> User:
        """Add an account with its identity.

        Args:
            invitation: token of an invitation, which is used up; None: no invitation is needed.

        Raises:
            EmailTaken: another account has the e-mail or the identity.
            RegistrationClosed: the invitation is unknown, used or expired.
        """
        row = {"email": normal_email(email), "password_hash": password_hash, "created_at": now}
        try:
            with writing(self._engine) as connection:
                if invitation is not None and not use_invitation(connection, invitation, now):
                    raise RegistrationClosed("This invitation has expired or has already been used.")
                values = {**row, "email_confirmed_at": now}
                user = connection.execute(insert(users).values(values).returning(*users.c)).one()
                _link(connection, user.id, issuer, subject, now)
        except IntegrityError:
            raise EmailTaken("This account was created a moment ago. Please log in again.") from None
        return User(**user._mapping)


def _link_once(connection: Connection, user_id: int, issuer: str, subject: str, now: datetime) -> None:
    """Link the account, unless another request has just done so.

    Raises:
        ProviderRefused: the identity was linked to another account meanwhile.
    """
    is_it = (identities.c.issuer == issuer) & (identities.c.subject == subject)
    try:
        with connection.begin_nested():
            _link(connection, user_id, issuer, subject, now)
    except IntegrityError:
        if connection.execute(select(identities.c.user_id).where(is_it)).scalar() != user_id:
            raise ProviderRefused("Another account here is linked with this log-in.") from None


def _link(connection: Connection, user_id: int, issuer: str, subject: str, now: datetime) -> None:
    row = {"issuer": issuer, "subject": subject, "user_id": user_id, "linked_at": now}
    connection.execute(insert(identities).values(row))
