"""Sign-up: add an account and its first session, in one transaction.

The work is the same for an e-mail that is already registered, so that neither the response nor its duration
reveals registered e-mails.
"""

from __future__ import annotations

import contextlib
from datetime import datetime

from sqlalchemy import Engine, insert
from sqlalchemy.exc import IntegrityError

from catloader.errors import RegistrationClosed
from catloader.store.db.accounts.one_time_links import use_invitation
from catloader.store.db.accounts.sessions import insert_session, new_token
from catloader.store.db.accounts.users import normal_email
from catloader.store.db.engine import writing
from catloader.store.db.schema import users


class SignUps:
    """Accounts that people create themselves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, email: str, password_hash: str, now: datetime, browser: str = "", invitation: str | None = None
    ) -> tuple[str, int | None]:
        """Add an account and begin its first session.

        Args:
            invitation: token of an invitation, which is used up; None: no invitation is needed.

        Raises:
            RegistrationClosed: the invitation is unknown, used or expired.

        Returns:
            The session's token, and the id of the account. None as id: the e-mail is already registered; its
            account is unchanged, and the session gives no access.
        """
        token = new_token()
        of_person = {"email": normal_email(email), "password_hash": password_hash}
        row = {**of_person, "created_at": now, "logged_in_at": now}
        with writing(self._engine) as connection:
            if invitation is not None and not use_invitation(connection, invitation, now):
                raise RegistrationClosed("This invitation has expired or has already been used.")
            user_id: int | None = None
            with contextlib.suppress(IntegrityError), connection.begin_nested():
                user_id = connection.execute(insert(users).values(row).returning(users.c.id)).scalar_one()
            insert_session(connection, token, user_id, now, browser)
        return token, user_id
