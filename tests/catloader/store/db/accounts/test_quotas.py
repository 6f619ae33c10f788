"""Limits of accounts under concurrent uploads."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from catloader.errors import QuotaReached, StoreUnavailable
from catloader.store.db.accounts.quotas import Quota, Quotas
from catloader.store.db.engine import writing
from tests.support.rows import some_user


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)
def test_a_second_upload_waits_for_the_first_one_to_use_its_space(engine: Engine) -> None:
    """SQLite has one writer at a time anyway."""
    quotas, owner, other = Quotas(engine, Quota(1, 0)), some_user(engine), some_user(engine)
    with writing(engine) as first:
        quotas.refuse_full(first, owner.id, 1)
        with writing(engine) as second:
            second.execute(text("SET LOCAL lock_timeout = 200"))
            quotas.refuse_full(second, other.id, 1)
        with pytest.raises(StoreUnavailable, match="lock timeout"), writing(engine) as second:
            second.execute(text("SET LOCAL lock_timeout = 200"))
            quotas.refuse_full(second, owner.id, 1)


def test_a_photo_may_grow_only_within_the_quota_of_its_account(engine: Engine) -> None:
    owner = some_user(engine)
    with writing(engine) as connection:
        Quotas(engine, Quota(0, 100)).refuse_growth(connection, owner.id, 100)
        with pytest.raises(QuotaReached, match="storage is full"):
            Quotas(engine, Quota(0, 100)).refuse_growth(connection, owner.id, 101)
        Quotas(engine, Quota(0, 100)).refuse_growth(connection, owner.id, -1)
