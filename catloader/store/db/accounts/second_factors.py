"""The rows of second factors: the secret, the step of the last accepted code, and the recovery codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from catloader.store.db.accounts.account_lock import lock_account, lock_both
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import recovery_codes, second_factors, users
from catloader.store.db.staff.audit_log import record

_MOST_APART = 2
"""Steps between the earliest and the latest code that are accepted at the same time."""


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """The second factor of one account."""

    secret: str
    """In base32."""
    recovery_codes_left: int


class SecondFactors:
    """At most one second factor per account. Process-safe: a single statement accepts a code."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, user_id: int) -> SecondFactor | None:
        factor = select(second_factors.c.secret).where(second_factors.c.user_id == user_id)
        codes = select(func.count()).where(recovery_codes.c.user_id == user_id)
        with reading(self._engine) as connection:
            secret = connection.execute(factor).scalar_one_or_none()
            left = connection.execute(codes).scalar_one()
        return None if secret is None else SecondFactor(secret, left)

    def set_up(
        self, user_id: int, secret: str, step: int, code_digests: Sequence[str], now: datetime
    ) -> None:
        """Store the factor, replacing an existing one.

        Args:
            step: time step of the code that confirmed the factor; this code is not accepted again.
            code_digests: SHA-256 of the recovery codes.

        Raises:
            NotFound: the account was deleted meanwhile.
        """
        row = {"user_id": user_id, "secret": secret, "last_step": step, "set_up_at": now}
        codes = [{"code_sha256": digest, "user_id": user_id} for digest in code_digests]
        with writing(self._engine) as connection:
            lock_account(connection, user_id)  # else two requests at once would both add a row
            _remove(connection, user_id)
            connection.execute(insert(second_factors).values(row))
            connection.execute(insert(recovery_codes), codes)

    def accept(self, user_id: int, step: int) -> bool:
        """Record that the code of a time step is used; False: this code or a later one was used before."""
        last = second_factors.c.last_step
        # A last step far ahead is from a wrong clock; otherwise no code would be accepted until then.
        newer = (second_factors.c.user_id == user_id) & ((last < step) | (last > step + _MOST_APART))
        with writing(self._engine) as connection:
            return (
                connection.execute(update(second_factors).where(newer).values(last_step=step)).rowcount == 1
            )

    def use_recovery_code(self, user_id: int, digest: str) -> bool:
        """Use a recovery code; False: the account has no such code."""
        codes = recovery_codes.c
        with writing(self._engine) as connection:
            used = delete(recovery_codes).where(codes.user_id == user_id, codes.code_sha256 == digest)
            return connection.execute(used).rowcount == 1

    def remove(self, user_id: int) -> bool:
        """Remove the user's own factor; False: there was none."""
        with writing(self._engine) as connection:
            return _remove(connection, user_id)

    def reset(self, user_id: int, actor_id: int | None, now: datetime) -> bool:
        """Remove another user's factor, and record this in the audit log; False: there was none.

        Raises:
            NotFound: one of the two accounts was deleted meanwhile.
        """
        with writing(self._engine) as connection:
            lock_both(connection, user_id, actor_id)
            if not _remove(connection, user_id):
                return False
            email = connection.execute(select(users.c.email).where(users.c.id == user_id)).scalar_one()
            record(connection, actor_id, "removed the second factor", email, now)
        return True


def _remove(connection: Connection, user_id: int) -> bool:
    connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    return connection.execute(delete(second_factors).where(second_factors.c.user_id == user_id)).rowcount == 1
