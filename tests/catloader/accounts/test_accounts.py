"""Accounts: e-mails are normalised once, and each attempt is counted before its password is compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from catloader.accounts import accounts
from catloader.accounts.accounts import Guard
from catloader.accounts.attempts import AttemptLimits, network
from catloader.accounts.passwords import hash_password
from catloader.errors import EmailTaken, InvalidEmail, NotFound, TooManyAttempts, WrongCredentials
from catloader.store.db.accounts.attempts import Attempts
from catloader.store.db.accounts.receipts import Receipts
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.accounts.users import Users, normal_email

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


def _guard(engine: Engine, address: str = "192.0.2.1", after_s: float = 0, **rates: str) -> Guard:
    default_rates = {
        "account_rate": "3 per 15 minutes",
        "network_rate": "100 per hour",
        "register_rate": "9 per day",
        "mail_rate": "2 per hour",
    }
    limits = AttemptLimits(Attempts(engine), "secret", **{**default_rates, **rates})
    return Guard(limits, address, NOW + timedelta(seconds=after_s))


def test_all_spellings_of_an_e_mail_are_one_account(engine: Engine) -> None:
    users = Users(engine)
    composed, decomposed = "zo\u00eb@example.org", " Zoe\u0308@Example.org "
    user = accounts.register(users, decomposed, PASSWORD, NOW)
    assert user.email == composed
    assert accounts.authenticate(users, composed.upper(), PASSWORD, _guard(engine)).id == user.id
    assert users.by_email(decomposed) == user
    with pytest.raises(EmailTaken):
        accounts.register(users, composed, PASSWORD, NOW)
    with pytest.raises(WrongCredentials):
        accounts.authenticate(users, "zoe@example.org", PASSWORD, _guard(engine))


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org", "no address"])
def test_after_the_limit_no_password_is_evaluated_for_known_and_unknown_addresses(
    engine: Engine, email: str
) -> None:
    users = Users(engine)
    accounts.register(users, "ann@example.org", PASSWORD, NOW)
    for n in range(3):
        with pytest.raises(WrongCredentials):
            accounts.authenticate(users, email, f"guess {n}", _guard(engine, f"198.51.{n}.7", n))
    typed = email.upper() + " "
    with pytest.raises(TooManyAttempts) as refused:
        accounts.authenticate(users, typed, PASSWORD, _guard(engine, "203.0.113.9", 10))
    assert refused.value.retry_after_s == 890
    with pytest.raises(WrongCredentials):
        accounts.authenticate(users, "bo@example.org", "another account's limit", _guard(engine))


def test_right_passwords_do_not_count_as_guesses_and_reset_none(engine: Engine) -> None:
    users = Users(engine)
    accounts.register(users, "ann@example.org", PASSWORD, NOW)
    for n in range(2):
        with pytest.raises(WrongCredentials):
            accounts.authenticate(users, "ann@example.org", "guess", _guard(engine, after_s=n))
    for n in range(10):
        accounts.authenticate(users, "ann@example.org", PASSWORD, _guard(engine, after_s=10 + n))
    with pytest.raises(WrongCredentials):
        accounts.authenticate(users, "ann@example.org", "guess", _guard(engine, after_s=30))
    with pytest.raises(TooManyAttempts):
        accounts.authenticate(users, "ann@example.org", PASSWORD, _guard(engine, after_s=31))


def test_forms_that_ask_for_the_password_again_share_a_limit(engine: Engine) -> None:
    users = Users(engine)
    user = accounts.register(users, "ann@example.org", PASSWORD, NOW)
    for ask in (
        lambda: accounts.confirm(user, "guess", _guard(engine)),
        lambda: accounts.change_password(users, user, "guess", "a completely new one", _guard(engine)),
        lambda: accounts.delete_account(users, user, "guess", _guard(engine)),
    ):
        with pytest.raises(WrongCredentials):
            ask()
    for right in (
        lambda: accounts.change_password(users, user, PASSWORD, "a completely new one", _guard(engine)),
        lambda: accounts.delete_account(users, user, PASSWORD, _guard(engine)),
    ):
        with pytest.raises(TooManyAttempts):
            right()
    assert users.by_id(user.id) == user


def test_a_request_that_began_before_another_password_was_set_changes_nothing(engine: Engine) -> None:
    """For example, a stranger's request with the old password while the owner sets a new one by a link."""
    users = Users(engine)
    before = accounts.register(users, "ann@example.org", PASSWORD, NOW)
    users.set_password(before.id, "of the owner")
    for change in (
        lambda: accounts.change_password(users, before, PASSWORD, "a completely new one", _guard(engine)),
        lambda: accounts.change_email(users, before, "eve@example.org", PASSWORD, _guard(engine)),
    ):
        with pytest.raises(WrongCredentials):
            change()
    after = users.by_id(before.id)
    assert after
    assert (after.email, after.password_hash) == ("ann@example.org", "of the owner")


def test_an_account_is_deleted_once_and_gets_one_receipt(engine: Engine) -> None:
    """Two requests at once, as by a double click without scripts, have both read the account."""
    users = Users(engine)
    user = accounts.register(users, "ann@example.org", PASSWORD, NOW)
    accounts.delete_account(users, user, PASSWORD, _guard(engine), receipt=token_digest("first"))
    with pytest.raises(NotFound):
        accounts.delete_account(users, user, PASSWORD, _guard(engine), receipt=token_digest("second"))
    assert Receipts(engine).of("first")
    assert Receipts(engine).of("second") is None


def test_guesses_of_strangers_do_not_block_a_logged_in_owner(engine: Engine) -> None:
    users = Users(engine)
    user = accounts.register(users, "ann@example.org", PASSWORD, NOW)
    for n in range(3):
        with pytest.raises(WrongCredentials):
            accounts.authenticate(users, user.email, "guess", _guard(engine, "198.51.100.7", n))
    with pytest.raises(TooManyAttempts):
        accounts.authenticate(users, user.email, PASSWORD, _guard(engine, after_s=3))
    accounts.confirm(user, PASSWORD, _guard(engine, after_s=4))
    with pytest.raises(TooManyAttempts):  # the limit of the network holds for the owner too
        accounts.confirm(user, PASSWORD, _guard(engine, "198.51.100.7", 5, network_rate="3 per hour"))


def test_one_network_is_limited_over_all_accounts(engine: Engine) -> None:
    rate = "5 per minute"
    for n, address in enumerate(["2001:db8:7::1", "2001:db8:7:ffff::2"] * 3):
        guard = _guard(engine, address, n, network_rate=rate)
        with pytest.raises(WrongCredentials if n < 5 else TooManyAttempts):
            accounts.authenticate(Users(engine), f"p{n}@example.org", "guess", guard)
    with pytest.raises(WrongCredentials):
        accounts.authenticate(
            Users(engine), "q@e.org", "guess", _guard(engine, "2001:db8:8::1", network_rate=rate)
        )


def test_an_international_domain_has_one_account_in_all_spellings(engine: Engine) -> None:
    users = Users(engine)
    ann = accounts.register(users, "Zoë@Bücher.example", PASSWORD, NOW)
    assert ann.email == "zoë@xn--bcher-kva.example"
    for spelling in ("zoë@bücher.example", "zoë@bu\u0308cher.example", "ZOË@xn--bcher-kva.EXAMPLE"):
        assert users.by_email(spelling) == ann
        with pytest.raises(EmailTaken):
            accounts.register(users, spelling, PASSWORD, NOW)
    assert normal_email("a@straße.example") != normal_email("a@strasse.example")
    assert [normal_email(text) for text in ("zoë", "a@\u0301", "a@" + "ü" * 300)] == [
        "zoë",
        "a@\u0301",
        "a@" + "ü" * 300,
    ]


@pytest.mark.parametrize(
    ("email", "is_taken"),
    [
        ("ann@example.org", True),
        ("ann@bücher.example", True),
        ("ann@localhost", True),
        ("ann@[127.0.0.1]", True),
        ("o'hara+cats@sub.example.co.uk", True),
        ("ann@उदाहरण.भारत", True),
        ("ann(1),bob@example.org", True),  # quoted in a mail
        ("ann@example.org(1)", False),
        ("ann@example.org,bob.org", False),
        ("<ann@example.org>", False),
        ("ann@example.org;bob.org", False),
        ("ann@-example.org", False),
        ("ann@example-.org", False),
        ("a@b", False),
        ("a@b.", False),
        ("a@.b", False),
        ("a@b..c", False),
        ("a@b@c.org", False),
        ("@example.org", False),
        ("a b@example.org", False),
        ("a\r\nBcc: x@example.org", False),
        (f"{'a' * 65}@example.org", False),
    ],
)
def test_a_new_address_must_have_the_form_of_an_address(engine: Engine, email: str, is_taken: bool) -> None:
    users = Users(engine)
    if is_taken:
        accounts.register(users, email, PASSWORD, NOW)
    else:
        with pytest.raises(InvalidEmail):
            accounts.register(users, email, PASSWORD, NOW)


def test_an_account_of_an_older_version_still_logs_in(engine: Engine) -> None:
    users = Users(engine)
    known = users.create("a@b", hash_password(PASSWORD), NOW)
    assert accounts.authenticate(users, "A@b", PASSWORD, _guard(engine)) == known


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.77:51322", "203.0.113.0/24"),
        ("[2001:db8:7:ffff::2]:443", "2001:db8:7::/48"),
        ("[2001:db8:7:ffff::2]", "2001:db8:7::/48"),
        ("203.0.113.77:", "unknown"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:7:ffff::2", "2001:db8:7::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_the_network_is_a_prefix_of_the_address(address: str, expected: str) -> None:
    assert network(address) == expected


def test_keys_of_attempts_reveal_neither_e_mail_nor_address(engine: Engine) -> None:
    with pytest.raises(WrongCredentials):
        accounts.authenticate(Users(engine), "my password, typed above", "guess", _guard(engine))
    with engine.connect() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM attempts").all())
    assert "192.0.2" not in rows
    assert "typed above" not in rows
