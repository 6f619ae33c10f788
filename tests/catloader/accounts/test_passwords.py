"""Passwords: weak and leaked ones are refused, long ones are compared completely."""

from __future__ import annotations

import contextlib
import random
import time

import pytest

from catloader.accounts import passwords
from catloader.errors import InvalidInput


def test_the_dummy_hash_takes_as_long_as_a_real_one() -> None:
    real = passwords.hash_password("correct horse battery")
    assert real.split("$")[:4] == passwords.DUMMY_HASH.split("$")[:4]
    assert len(real) == len(passwords.DUMMY_HASH)


@pytest.mark.parametrize(
    "password",
    [
        "1234567890", "password12", " " * 10, "qwertyuiop", "1q2w3e4r5t", "iloveyou123", "letmein1234",
        "trustno1trustno1", "P@ssw0rd1234", "Password123!", "abcdefghij", "basketball", "x" * 1000,
        "ann.smith@example.org", "ann.smith1", "catloader1", "smithsmith",
        "password" * 9, "xpassword" * 8, "ann.smith@example.org" * 3, "1234567890" * 7,
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234", "\uff11234567890", "\ufdfa" * 10,
    ],
)  # fmt: skip
def test_weak_and_leaked_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidInput, match="easy to guess"):
        passwords.hash_password(password, email="ann.smith@example.org")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "Zauberk\u00fcnstler",
        "my cat is fat",
        "\U0001f408 a nice cat \U0001f408",
        "k7#Vq2!xWz",
    ],
)
def test_sentences_and_random_passwords_are_accepted(password: str) -> None:
    assert passwords.matches(passwords.hash_password(password), password)


def test_a_letter_counts_once_in_every_encoding() -> None:
    with pytest.raises(InvalidInput, match="at least 10 characters"):
        passwords.hash_password("zu\u0308ge u\u0308ber")  # u with a separate umlaut


@pytest.mark.parametrize("password", ["\ufdfa", "\ufdfa" * 9, "\u00bd k7#Vq2"])
def test_a_sign_for_a_sentence_counts_as_one_character(password: str) -> None:
    """The normal form of the first one, an Arabic ligature, has 18 characters."""
    with pytest.raises(InvalidInput, match="at least 10 characters"):
        passwords.hash_password(password)


@pytest.mark.slow
def test_no_password_takes_long_to_evaluate() -> None:
    """Each of these characters has several readings as a letter, and zxcvbn tries all combinations."""
    signs = "4@8({[<369!1|705$+%2"
    begun_s = time.thread_time()  # excludes threads that other tests have started
    for n in range(50):
        mixed = "".join(random.Random(n).sample(signs, len(signs)))
        password = (mixed[: 8 + n % 13] * 10)[:72] if n % 2 else (mixed + "Wort " + mixed) * 2
        with contextlib.suppress(InvalidInput):
            passwords.hash_password(password)
        assert time.thread_time() - begun_s < 0.3 * (n + 1), password


def test_every_character_of_a_long_password_counts() -> None:
    long = "correct horse battery " * 46
    long = long[: passwords.MAX_CHARS]
    hashed = passwords.hash_password(long)
    assert passwords.matches(hashed, long)
    for other in (long + "x", long + long, long[:-1], long[:-1] + "?"):
        assert not passwords.matches(hashed, other), len(other)
    with pytest.raises(InvalidInput, match="at most 1000"):
        passwords.hash_password(long + "x")
