"""Wake-ups are accepted once, if they are fresh and unaltered, and are refused otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from catloader.checks.signatures import MAX_ID_CHARS, Signer, new_secret

BODY = '{"type":"photos.waiting"}'


@pytest.fixture
def signer() -> Signer:
    seen: set[str] = set()

    def remember(message_id: str, _now: datetime) -> bool:
        new = message_id not in seen
        seen.add(message_id)
        return new

    return Signer(new_secret(), remember)


def test_a_fresh_signature_is_accepted_once(signer: Signer) -> None:
    headers = signer.sign(BODY)
    assert signer.refusal(headers, BODY.encode()) is None
    assert "used before" in str(signer.refusal(headers, BODY.encode()))


@pytest.mark.parametrize("age", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_timestamps_too_far_from_now_are_refused(signer: Signer, age: timedelta) -> None:
    headers = signer.sign(BODY, now=datetime.now(UTC) + age)
    assert "timestamp too" in str(signer.refusal(headers, BODY.encode()))


def test_another_body_or_another_secret_is_refused(signer: Signer) -> None:
    headers = signer.sign(BODY)
    assert "no matching signature" in str(signer.refusal(headers, b"{}"))
    stranger = Signer(new_secret(), lambda _id, _now: True)
    assert "no matching signature" in str(stranger.refusal(headers, BODY.encode()))


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-id": ""},
    ],
)
def test_malformed_headers_are_refused_without_an_exception(signer: Signer, change: dict[str, str]) -> None:
    assert signer.refusal({**signer.sign(BODY), **change}, BODY.encode()) is not None


@pytest.mark.parametrize("headers", [True, False])
def test_a_body_that_is_not_text_is_refused(signer: Signer, headers: bool) -> None:
    assert signer.refusal(signer.sign(BODY) if headers else {}, b"\xff\xfe") is not None


@pytest.mark.parametrize(("chars", "refused"), [(MAX_ID_CHARS, False), (MAX_ID_CHARS + 1, True)])
def test_an_id_that_is_longer_than_the_column_is_refused(chars: int, refused: bool) -> None:
    secret, now, id = new_secret(), datetime.now(UTC), "i" * chars
    headers = {
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, now, BODY),
    }
    refusal = Signer(secret, lambda _id, _now: True).refusal(headers, BODY.encode())
    assert refusal == ("The wake-up is refused: its id is too long." if refused else None)
