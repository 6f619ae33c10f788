"""Signed wake-ups, in the Standard Webhooks form: id, timestamp, HMAC-SHA256 over both and the body.

https://www.standardwebhooks.com; a wake-up is good for five minutes and for one use.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from catloader.errors import SettingError
from catloader.store.db.engine import utcnow

MAX_ID_CHARS = 64


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Signer:
    """Signs and verifies with one shared secret. Thread-safe.

    ``first_time(id, now)`` must remember ids across processes: it says whether one is new.
    """

    def __init__(self, secret: str, first_time: Callable[[str, datetime], bool]) -> None:
        try:
            self._webhook = Webhook(secret)
        except (ValueError, EmptyWebhookSecretError) as error:
            raise SettingError("CATCHECK_WEBHOOK_SECRET must be whsec_ and base64.") from error
        self._first_time = first_time

    def sign(self, body: str, now: datetime | None = None) -> dict[str, str]:
        """The three headers that go with ``body``."""
        now = now or utcnow()
        message_id = "msg_" + secrets.token_hex(16)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, now, body),
        }

    def refusal(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Why this wake-up is not to be believed, or None. A believed one is used up by this call."""
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as error:
            return f"The wake-up is refused: {str(error).lower()}."
        except ValueError:  # base64, UTF-8 or a comma missing: made by hand, or damaged
            return "The wake-up is refused: its signature is malformed."
        message_id = {key.lower(): value for key, value in headers.items()}["webhook-id"]
        if len(message_id) > MAX_ID_CHARS:
            return "The wake-up is refused: its id is too long."
        if not self._first_time(message_id, utcnow()):
            return "The wake-up is refused: it was used before."
        return None
