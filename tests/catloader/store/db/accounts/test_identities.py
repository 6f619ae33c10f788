"""The rows of identities, and of accounts that were unlinked."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine

from catloader.store.db.accounts.identities import Identities
from tests.support.rows import some_user

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_HERE, _THERE = "https://id.example.org", "https://id.example.net"


def test_an_unlinked_account_stays_so_until_its_owner_links_it(engine: Engine) -> None:
    store, ada, eve = Identities(engine), some_user(engine).id, some_user(engine).id
    for user, issuer, subject in (
        (ada, _HERE, "1"),
        (ada, _HERE, "2"),
        (ada, _THERE, "1"),
        (eve, _HERE, "3"),
    ):
        assert store.link(user, issuer, subject, _NOW, by_owner=False)
    assert [store.unlink(ada, _HERE, _NOW) for _ in range(2)] == [True, False]
    linked = [store.is_linked(_HERE, ada), store.is_linked(_THERE, ada), store.is_linked(_HERE, eve)]
    assert linked == [False, True, True]
    assert not store.link(ada, _HERE, "4", _NOW, by_owner=False)
    assert store.link(ada, _THERE, "4", _NOW, by_owner=False)
    assert store.link(ada, _HERE, "1", _NOW, by_owner=True)
    assert store.link(ada, _HERE, "4", _NOW, by_owner=False)
    assert store.unlink(ada, _HERE, _NOW)
    assert store.unlink(eve, _HERE, _NOW)
