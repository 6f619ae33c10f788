"""Wake-ups signed as in Standard Webhooks: id, timestamp, and an HMAC-SHA256 over both and the body.

https://www.standardwebhooks.com; a wake-up is valid for five minutes and for one use.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from catloader.store.db.engine import utcnow

MAX_ID_CHARS = 64


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Signer:
    """Signs wake-ups and checks their signatures with one shared secret. Thread-safe."""

    def __init__(self, secret: str, remember: Callable[[str, datetime], bool]) -> None:
        """
        Args:
            remember: like ``WebhookIds.remember``: returns False if any process has seen the id before.
        """
        self._webhook = Webhook(secret)
        self._remember = remember

    def sign(self, body: str, now: datetime | None = None) -> dict[str, str]:
        """Return the three headers that must go with ``body``."""
        now = now or utcnow()
        message_id = "msg_" + secrets.token_hex(16)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, now, body),
        }

    def refusal(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the reason to refuse a wake-up; None: it is valid, and can't be used again."""
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as error:
            return f"The wake-up is refused: {str(error).lower()}."
        except ValueError:  # not base64 or UTF-8, or without a comma: made by hand, or damaged
            return "The wake-up is refused: its signature is malformed."
        message_id = {key.lower(): value for key, value in headers.items()}["webhook-id"]
        if len(message_id) > MAX_ID_CHARS:
            return "The wake-up is refused: its id is too long."
        if not self._remember(message_id, utcnow()):
            return "The wake-up is refused: it was used before."
        return None
