"""The composition root: the only place that makes engines, S3 clients, pools and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from catloader.attempts import AttemptLimits
from catloader.checks.dispatch import Dispatcher, choose_way
from catloader.checks.measured_queue import MeasuredQueue
from catloader.checks.promotion import better_model, models_in_force, resolve_model
from catloader.checks.runtime_request import profile_folders, runtime_request
from catloader.checks.signatures import Signer, new_secret
from catloader.decoders import Decoders, build_decoders
from catloader.deletion import DeletionWorker
from catloader.errors import StartupError
from catloader.explanations.explainer import Explainer
from catloader.intake.upload import refuse_full_disk
from catloader.metrics import Metrics
from catloader.settings import Settings, kept_secret
from catloader.store.db.activity import CheckerActivity
from catloader.store.db.administration import Administration
from catloader.store.db.album import Album
from catloader.store.db.api_tokens import ApiTokens
from catloader.store.db.attempts import Attempts
from catloader.store.db.audit_log import AuditLog
from catloader.store.db.bin import Bin
from catloader.store.db.check_log import CheckLog
from catloader.store.db.check_statistics import CheckStatistics
from catloader.store.db.deletions import Deletions
from catloader.store.db.engine import Engine, for_checks, for_requests, make_engine
from catloader.store.db.explanations import Explanations
from catloader.store.db.gallery import Gallery
from catloader.store.db.notifications import Listener, can_notify, notify
from catloader.store.db.one_time_links import OneTimeLinks
from catloader.store.db.photos import Photos
from catloader.store.db.queue import SqlCheckQueue
from catloader.store.db.quotas import Quota, Quotas
from catloader.store.db.rechecks import Rechecks
from catloader.store.db.reviews import Reviews
from catloader.store.db.sessions import Sessions
from catloader.store.db.share_links import ShareLinks
from catloader.store.db.sign_up import SignUps
from catloader.store.db.switches import Switches
from catloader.store.db.upkeep import Upkeep
from catloader.store.db.upload_keys import UploadKeys
from catloader.store.db.usage import Usage
from catloader.store.db.users import Users
from catloader.store.db.webhook_ids import WebhookIds
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.store.s3.recent import RecentRenditions
from catloader.webhooks.sender import WebhookSender, build_sender
from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.pipeline import LoadedModel
from checker.ports import Classifier
from checker.runtimes.loader import ModelLoader
from checker.runtimes.select import load_checker
from checker.service import CheckerService

_RECENT_BYTES = 16 * 2**20
"""Some 30 photos: more wait in the store."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process works with. ``close`` ends the threads in an order that loses nothing."""

    settings: Settings
    secret_key: str
    engine: Engine
    users: Users
    usage: Usage
    sign_ups: SignUps
    sessions: Sessions
    api_tokens: ApiTokens
    attempts: AttemptLimits
    photos: Photos
    quotas: Quotas
    administration: Administration
    one_time_links: OneTimeLinks
    audit_log: AuditLog
    switches: Switches
    statistics: CheckStatistics
    upload_keys: UploadKeys
    gallery: Gallery
    bin: Bin
    album: Album
    share_links: ShareLinks
    rechecks: Rechecks
    reviews: Reviews
    activity: CheckerActivity
    check_log: CheckLog
    upkeep: Upkeep
    queue: SqlCheckQueue
    ledger: Deletions
    objects: ObjectStore
    signer: Signer
    dispatcher: Dispatcher
    deletion: DeletionWorker
    decoders: Decoders
    explainer: Explainer
    checker: CheckerService | None
    listener: Listener | None
    webhooks: WebhookSender | None
    metrics: Metrics

    def start(self) -> None:
        """Start the threads and the decoders. Call it after a fork, which would lose them."""
        self.decoders.start()
        self.deletion.start()
        if self.checker is not None:
            self.checker.start()
        if self.listener is not None:
            self.listener.start()
        if self.webhooks is not None:
            self.webhooks.start()

    def close(self) -> None:
        self.explainer.close()
        self.dispatcher.close()
        if self.listener is not None:
            self.listener.close()
        if self.webhooks is not None:
            self.webhooks.close()
        if self.checker is not None:
            self.checker.close(timeout_s=1.0)
        self.deletion.close()
        self.decoders.close()
        self.engine.dispose()


def build_engine(settings: Settings) -> Engine:
    """Make the database's engine; connects at first use."""
    return make_engine(settings.database)


def build_object_store(
    settings: Settings, metrics: Metrics | None = None, recent: RecentRenditions | None = None
) -> ObjectStore:
    """Make the client of the S3 server that ``settings`` name; ``metrics`` times its requests."""
    return ObjectStore(
        endpoint_url=settings.s3_endpoint_url,
        access_key_id=settings.s3_access_key_id.get_secret_value(),
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        region=settings.s3_region,
        photos_bucket=settings.s3_photos_bucket,
        thumbnails_bucket=settings.s3_thumbnails_bucket,
        # Every request thread and every checker thread may hold one, and fetches overlap.
        max_connections=settings.web_threads + 4 * (settings.workers or 4) + 4,
        recent=recent,
        **({"timed": metrics.s3_request} if metrics else {}),
    )


def build(
    settings: Settings,
    *,
    checker: bool | None = None,
    fetch: bool = False,
    shared_metrics: Path | None = None,
) -> Services:
    """Make everything, start nothing.

    Args:
        checker: make a checker for this process; None: as ``settings.dispatch`` demands.
        fetch: let the checker fetch a better model, as ``settings.fetch`` demands.
        shared_metrics: the folder of ``metrics_folder``.

    Raises:
        StartupError: no S3 server is set (``catloader serve`` starts the embedded one).
    """
    if settings.embedded_s3:
        raise StartupError(
            "No S3 server is running: `catloader serve` starts the embedded one, or set AWS_ENDPOINT_URL_S3."
        )
    if checker is None:
        checker = settings.checks_here
    engine = build_engine(settings)
    requests_engine = for_requests(engine)
    metrics = Metrics(shared_metrics)
    objects = build_object_store(
        settings, metrics, RecentRenditions(_RECENT_BYTES) if settings.checks_here else None
    )
    queue = SqlCheckQueue(
        for_checks(engine),
        lease_s=settings.lease_s,
        max_attempts=settings.max_attempts,
        backoff_s=settings.backoff_s,
    )
    signer = build_signer(settings, requests_engine)
    ledger, check_log = Deletions(engine), CheckLog(requests_engine)
    quotas = Quotas(requests_engine, Quota(settings.quota_photos, settings.quota_bytes))
    bin = Bin(requests_engine, days=settings.bin_days)
    deletion = DeletionWorker(ledger, objects, sweep_s=settings.sweep_s, expire=bin.expire)
    decoders = build_decoders(settings)
    service = (
        _checker_service(settings, MeasuredQueue(queue, metrics), objects, decoders, fetch=fetch)
        if checker
        else None
    )
    secret_key = site_secret(settings)
    return Services(
        settings=settings,
        secret_key=secret_key,
        engine=engine,
        users=Users(requests_engine),
        usage=Usage(requests_engine),
        sign_ups=SignUps(requests_engine),
        sessions=Sessions(
            requests_engine,
            idle_days=settings.session_idle_days,
            days=settings.session_days,
            most=settings.max_sessions,
        ),
        api_tokens=ApiTokens(requests_engine, most=settings.max_api_tokens),
        attempts=AttemptLimits(
            Attempts(requests_engine),
            secret_key,
            account_rate=settings.password_rate,
            network_rate=settings.login_rate,
            register_rate=settings.register_rate,
        ),
        photos=Photos(requests_engine, quotas),
        quotas=quotas,
        administration=Administration(requests_engine),
        one_time_links=OneTimeLinks(requests_engine),
        audit_log=AuditLog(requests_engine),
        switches=Switches(requests_engine),
        statistics=CheckStatistics(requests_engine),
        upload_keys=UploadKeys(requests_engine),
        gallery=Gallery(requests_engine),
        bin=bin,
        album=Album(requests_engine),
        share_links=ShareLinks(requests_engine),
        rechecks=Rechecks(requests_engine),
        reviews=Reviews(requests_engine),
        activity=CheckerActivity(requests_engine),
        check_log=check_log,
        upkeep=Upkeep(requests_engine),
        queue=queue,
        ledger=ledger,
        objects=objects,
        signer=signer,
        dispatcher=choose_way(
            settings,
            signer,
            service.wake if service else None,
            partial(notify, requests_engine) if can_notify(engine) else None,
        ),
        deletion=deletion,
        decoders=decoders,
        explainer=Explainer(
            check_log,
            Explanations(requests_engine),
            objects,
            decode=decoders.decode.seen,
            weights_dir=settings.weights_dir,
            subject=settings.subject,
            profile_folders=profile_folders(settings),
            on_deletion_due=deletion.wake,
            refuse_full_disk=partial(refuse_full_disk, settings),
        ),
        checker=service,
        webhooks=build_sender(
            settings,
            engine,
            lambda: _secret(settings.webhook_signing_secret, settings, "outgoing-webhook-secret", new_secret),
        ),
        listener=Listener(engine, service.wake, retry_s=settings.sweep_s)
        if service is not None and can_notify(engine)
        else None,
        metrics=metrics,
    )


def site_secret(settings: Settings) -> str:
    """Return the key that signs forms, cookies and tokens: the one that is set or kept in the data folder."""
    return _secret(settings.secret_key, settings, "secret-key")


def build_signer(settings: Settings, engine: Engine) -> Signer:
    """Make the signer of wake-ups, with the secret that is set or kept in the data folder."""
    secret = _secret(settings.webhook_secret, settings, "webhook-secret", new_secret)
    return Signer(secret, WebhookIds(engine).remember)


def _secret(
    given: SecretStr, settings: Settings, file_name: str, make: Callable[[], str] = lambda: ""
) -> str:
    """Return the secret of the setting, else the one kept in the data folder, made at the first start."""
    return given.get_secret_value() or kept_secret(settings.data_dir / file_name, make())


def _checker_service(
    settings: Settings, queue: MeasuredQueue, objects: ObjectStore, decoders: Decoders, *, fetch: bool
) -> CheckerService:
    loader = ModelLoader(
        lambda: models_in_force(settings),
        lambda: load_subject(settings.subject),
        runtime_request(settings),
        better=lambda: better_model(settings) if fetch else None,
    )
    return CheckerService(
        queue,
        S3ImageSource(objects),
        loader.load,
        decode=decoders.decode,
        successors=loader,
        workers=settings.workers,
        batch_photos=settings.batch_photos,
        sweep_s=settings.sweep_s,
    )


def load_model(settings: Settings) -> LoadedModel:
    """Load the model and the decision rule that the settings ask for; the self-test has passed.

    Takes seconds: torch is imported here, not before.

    Raises:
        ModelRefused, models.errors.ModelsError: the reason why nothing may be checked with it.
    """
    return LoadedModel(*load_classifier_and_rule(settings))


def load_classifier_and_rule(settings: Settings) -> tuple[Classifier, ThresholdRule]:
    """As ``load_model``, typed for callers that use the thresholds or the profile."""
    entry, path = resolve_model(settings)
    return load_checker(entry, path, load_subject(settings.subject), runtime_request(settings))
