"""Accounts: e-mails are normalised once, and an unknown e-mail costs as much time as a known one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from catloader import accounts
from catloader.errors import EmailTaken, WrongCredentials
from catloader.store.db.users import Users

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


def test_the_dummy_hash_costs_what_a_real_one_costs() -> None:
    real = accounts.hash_password(PASSWORD)
    assert real.split("$")[:4] == accounts.DUMMY_HASH.split("$")[:4]
    assert len(real) == len(accounts.DUMMY_HASH)


def test_one_account_however_its_e_mail_is_typed(engine: Engine) -> None:
    users = Users(engine)
    composed, decomposed = "zo\u00eb@example.org", " Zoe\u0308@Example.org "
    user = accounts.register(users, decomposed, PASSWORD, NOW)
    assert user.email == composed
    assert accounts.authenticate(users, composed.upper(), PASSWORD).id == user.id
    assert users.by_email(decomposed) == user
    with pytest.raises(EmailTaken):
        accounts.register(users, composed, PASSWORD, NOW)
    with pytest.raises(WrongCredentials):
        accounts.authenticate(users, "zoe@example.org", PASSWORD)
