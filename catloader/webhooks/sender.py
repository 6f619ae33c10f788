"""The thread that delivers webhooks: it collects new events, signs, sends, and retries with backoff."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from standardwebhooks.webhooks import Webhook

from catloader.errors import StoreUnavailable
from catloader.settings import Settings
from catloader.store.db.engine import Engine, utcnow
from catloader.store.db.steady_clock import SteadyClock
from catloader.store.db.webhooks.deliveries import Delivery, WebhookDeliveries
from catloader.webhooks.target import Target
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

RETRIES_S = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Delays between attempts, roughly as Standard Webhooks recommends; three days in all."""
_POLL_S = 2.0
_CLEAN_EVERY = 1800
"""Rounds between two deletions of old entries: one hour."""
_GONE = 410
"""HTTP status of a receiver that no longer wants the message."""


class WebhookSender:
    """A daemon thread. Several processes may run a sender each: the sender of a delivery claims it first.

    A verdict never waits for a webhook: the thread reads the check log and the reviews, and undelivered
    messages stay in the ledger. A message may arrive twice, with the same id, if the sender was killed before
    it recorded the response.
    """

    def __init__(
        self,
        ledger: WebhookDeliveries,
        target: Target,
        secrets: str,
        *,
        clock: SteadyClock,
        retries_s: Sequence[float] = RETRIES_S,
    ) -> None:
        """
        Args:
            secrets: separated by spaces. Each signs the message, so that receivers can replace their secret.
            clock: the database's.
        """
        self._ledger, self._target, self._clock = ledger, target, clock
        self._webhooks = [Webhook(secret) for secret in secrets.split()]
        self._retries_s = retries_s
        self._log_limits = LogLimits()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def work_off(self) -> None:
        """Collect new events and send due messages; a failure ends the round."""
        while self._ledger.collect():
            pass
        while not self._closing.is_set() and (delivery := self._ledger.claim()) is not None:
            if not self._send(delivery):
                return

    def _send(self, delivery: Delivery) -> bool:
        now = utcnow()
        headers = {
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                webhook.sign(delivery.message_id, now, delivery.payload) for webhook in self._webhooks
            ),
        }
        status, error = self._target.post(delivery.payload, headers)
        if not error:
            self._ledger.delivered(delivery)
            return True
        given_up = delivery.attempts > len(self._retries_s) or status == _GONE
        self._ledger.failed(delivery, error, None if given_up else self._retries_s[delivery.attempts - 1])
        if (suffix := self._log_limits.suffix(error)) is not None:
            action = "given up" if given_up else "retried later"
            logger.warning(
                "The webhook %s to %s is %s: %s%s",
                delivery.message_id,
                self._target.name,
                action,
                error,
                suffix,
            )
        return False

    def _run(self) -> None:
        rounds = 0
        while not self._closing.is_set():
            try:
                if rounds == 0:
                    self._ledger.begin()
                if rounds % _CLEAN_EVERY == 0:
                    self._clock.after_steady_time(self._ledger.forget_old)
                rounds += 1
                self.work_off()
            except StoreUnavailable as error:
                if (suffix := self._log_limits.suffix(error.cause)) is not None:
                    logger.warning("webhooks are delayed: %s%s", error, suffix)
            except Exception:  # the top of a thread, which must not end
                logger.exception("webhooks could not be delivered; retrying later")
            self._closing.wait(_POLL_S)
        self._target.close()


def build_sender(settings: Settings, engine: Engine, secret: Callable[[], str]) -> WebhookSender | None:
    """Make the sender; None if ``CATLOADER_WEBHOOK_URL`` is not set.

    Args:
        secret: returns the signing secret, and generates it if there is none.
    """
    if not (url := settings.webhook_url.get_secret_value()):
        return None
    target = Target(url, allow_private=settings.webhook_private == "on")
    return WebhookSender(WebhookDeliveries(engine), target, secret(), clock=SteadyClock.of(engine))
