"""The parts that commands also make individually: S3 client, signer, checker, model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from catloader.checks.broker import Broker, BrokerListener
from catloader.checks.dispatch import Listening
from catloader.checks.followed_model import FollowedModel
from catloader.checks.measured_queue import MeasuredQueue
from catloader.checks.promotion import better_model, models_in_force
from catloader.checks.runtime_request import runtime_request
from catloader.checks.signatures import Signer, new_secret
from catloader.decoders import Decoders
from catloader.metrics import Metrics
from catloader.settings import Settings
from catloader.settings.kinds import webhook_secret
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoices
from catloader.store.db.engine import Engine
from catloader.store.db.notifications import Listener, can_notify
from catloader.store.db.webhooks.ids import WebhookIds
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.store.s3.recent import RecentRenditions
from catloader.wiring.secrets import secret_of
from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.pipeline import LoadedModel
from checker.ports import Classifier
from checker.runtimes.selection.loader import ModelLoader
from checker.runtimes.selection.select import load_checker
from checker.service import CheckerService
from models.catalogue import Entry

if TYPE_CHECKING:
    from catloader.oidc.provider import Provider


def build_object_store(
    settings: Settings, metrics: Metrics | None = None, recent: RecentRenditions | None = None
) -> ObjectStore:
    """Make the client of the S3 server in ``settings``; ``metrics`` records the duration of its requests."""
    return ObjectStore(
        endpoint_url=settings.s3_endpoint_url,
        access_key_id=settings.s3_access_key_id.get_secret_value(),
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        region=settings.s3_region,
        photos_bucket=settings.s3_photos_bucket,
        thumbnails_bucket=settings.s3_thumbnails_bucket,
        # Every request thread and every checking thread may use a connection, and fetches overlap.
        max_connections=settings.web_threads + 4 * settings.checking_threads + 4,
        recent=recent,
        timed=metrics.s3_request if metrics else lambda _operation: nullcontext(),
    )


def build_signer(settings: Settings, engine: Engine) -> Signer:
    """Make the signer of wake-ups, with the secret of the settings or the data folder."""
    secret = secret_of(settings.webhook_secret, settings, "webhook-secret", webhook_secret, new_secret)
    return Signer(secret, WebhookIds(engine).remember)


def build_broker(settings: Settings) -> Broker | None:
    """Make the broker for dispatch by Celery, which connects at first use; None: another dispatch is set.

    Raises:
        StartupError: Celery is not installed.
    """
    return Broker(settings.broker_url.get_secret_value()) if settings.dispatch == "celery" else None


def build_provider(settings: Settings) -> Provider | None:
    """Make the client of the OpenID provider; None: ``CATLOADER_OIDC_ISSUER`` is not set.

    Importing its libraries takes a twentieth of a start, so a site without a provider does not import them.
    """
    if not settings.oidc_issuer:
        return None
    from catloader.oidc import provider

    return provider.build_provider(settings)


def build_listeners(
    engine: Engine, broker: Broker | None, wake: Callable[[], None], *, retry_s: float
) -> tuple[Listening, ...]:
    """Make the listeners to the database and the broker that wake this process's checker."""
    listeners: list[Listening] = []
    if can_notify(engine):
        listeners.append(Listener(engine, wake, retry_s=retry_s))
    if broker is not None:
        listeners.append(BrokerListener(broker, wake, retry_s=retry_s))
    return tuple(listeners)


def build_checker_service(
    settings: Settings,
    queue: MeasuredQueue,
    objects: ObjectStore,
    decoders: Decoders,
    *,
    choices: ModelChoices,
    profiles: MeasuredProfiles,
    fetch: bool,
) -> CheckerService:
    def loader_of(candidates: Callable[[], Sequence[tuple[Entry, Path]]]) -> ModelLoader:
        return ModelLoader(
            candidates,
            lambda: load_subject(settings.subject),
            runtime_request(settings),
            better=lambda: better_model(settings) if fetch else None,
        )

    followed = FollowedModel(settings, choices, profiles, loader_of, poll_s=settings.sweep_s)
    return CheckerService(
        queue,
        S3ImageSource(objects),
        followed.load,
        decode=decoders.decode,
        successors=followed,
        workers=settings.workers,
        batch_photos=settings.batch_photos,
        sweep_s=settings.sweep_s,
    )


def load_model(settings: Settings) -> LoadedModel:
    """Load the model and the decision rule of the settings, after a successful self-test.

    This takes seconds, because torch is imported here.

    Raises:
        ModelRefused, models.errors.ModelsError: no model may check; the message has the reason.
    """
    return LoadedModel(*load_classifier_and_rule(settings))


def checking_model(settings: Settings) -> str:
    """Return the name of the model that ``load_model`` would load.

    With ``auto`` this loads the model, which takes seconds: the first candidate may lack files or fail its
    self-test.

    Raises:
        ModelRefused, models.errors.ModelsError: as for ``load_model``.
    """
    models = models_in_force(settings)
    if len(models) == 1:
        return models[0][0].name
    classifier, _ = load_classifier_and_rule(settings)
    try:
        return classifier.model_info.model
    finally:
        classifier.close()


def load_classifier_and_rule(settings: Settings) -> tuple[Classifier, ThresholdRule]:
    """Load the same as ``load_model``, with types for callers that use the thresholds or the profile."""
    return load_checker(models_in_force(settings), load_subject(settings.subject), runtime_request(settings))
