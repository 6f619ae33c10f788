"""The password hash of nobody must cost what everybody's costs."""

from __future__ import annotations

from catloader import accounts


def test_nobodys_hash_costs_what_a_real_one_costs() -> None:
    real = accounts.hash_password("correct horse battery")
    assert real.split("$")[:4] == accounts.NOBODYS_HASH.split("$")[:4]
    assert len(real) == len(accounts.NOBODYS_HASH)
