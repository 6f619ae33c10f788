"""Make all services of a process from its settings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from catloader.accounts.attempts import AttemptLimits
from catloader.checks.dispatch import choose_dispatcher
from catloader.checks.measured_queue import MeasuredQueue
from catloader.checks.runtime_request import profile_folders
from catloader.checks.shadow_runs import ShadowRuns
from catloader.checks.signatures import new_secret
from catloader.decoders import build_decoders
from catloader.deletion import DeletionWorker
from catloader.errors import StartupError
from catloader.explanations.explainer import Explainer
from catloader.intake.partial import PartialUploads
from catloader.intake.upload import refuse_full_disk
from catloader.mail.account_mails import build_mails
from catloader.metrics import Metrics
from catloader.settings import Settings
from catloader.settings.kinds import webhook_secrets
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.attempts import Attempts
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.quotas import Quota, Quotas
from catloader.store.db.accounts.receipts import Receipts
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.sessions import Sessions
from catloader.store.db.accounts.sign_up import SignUps
from catloader.store.db.accounts.usage import Usage
from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.activity import CheckerActivity
from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.checks.check_statistics import CheckStatistics
from catloader.store.db.checks.explanations import Explanations
from catloader.store.db.checks.failed_photos import FailedPhotos
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoices
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.checks.rechecks import Rechecks
from catloader.store.db.checks.switches import Switches
from catloader.store.db.engine import for_checks, for_requests
from catloader.store.db.future_times import end_impossible_waits
from catloader.store.db.notifications import can_notify, notify
from catloader.store.db.photos.album import Album
from catloader.store.db.photos.bin import Bin
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.gallery import Gallery
from catloader.store.db.photos.photo_files import PhotoFiles
from catloader.store.db.photos.photos import Photos
from catloader.store.db.photos.replacements import Replacements
from catloader.store.db.photos.share_links import ShareLinks
from catloader.store.db.photos.upload_keys import UploadKeys
from catloader.store.db.staff.administration import Administration
from catloader.store.db.staff.audit_log import AuditLog
from catloader.store.db.staff.random_audits import RandomAudits
from catloader.store.db.staff.reviews import Reviews
from catloader.store.db.staff.takedowns import Takedowns
from catloader.store.db.steady_clock import SteadyClock
from catloader.store.db.upkeep import Upkeep
from catloader.store.db.webhooks.ids import WebhookIds
from catloader.store.s3.recent import RecentRenditions
from catloader.webhooks.sender import build_sender
from catloader.wiring.engine import build_engine
from catloader.wiring.parts import (
    build_broker,
    build_checker_service,
    build_listeners,
    build_object_store,
    build_provider,
    build_signer,
)
from catloader.wiring.secrets import secret_of, site_secret
from catloader.wiring.services import Services

_RECENT_BYTES = 16 * 2**20
"""About 30 photos; others are fetched from the store."""


def build(
    settings: Settings,
    *,
    checker: bool | None = None,
    fetch: bool = False,
    shared_metrics: Path | None = None,
) -> Services:
    """Make all services of a process without starting them.

    Args:
        checker: make a checker for this process; None: as ``settings.dispatch`` requires.
        fetch: let the checker fetch a better model, unless ``settings.fetch`` is off.
        shared_metrics: the folder that ``metrics_folder`` returns; None: metrics of this process only.

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
    broker = build_broker(settings)
    ledger, check_log = Deletions(engine), CheckLog(requests_engine)
    quotas = Quotas(requests_engine, Quota(settings.quota_photos, settings.quota_bytes))
    bin = Bin(requests_engine, days=settings.bin_days)
    partial_uploads = PartialUploads(
        settings.data_dir / "partial-uploads",
        max_bytes=settings.partial_uploads_bytes,
        owner_bytes=settings.partial_uploads_user_bytes,
        kept_s=3600 * settings.partial_uploads_hours,
    )
    users = Users(requests_engine)
    sessions = Sessions(
        requests_engine,
        idle_days=settings.session_idle_days,
        days=settings.session_days,
        most=settings.max_sessions,
    )
    deletion = DeletionWorker(
        ledger,
        objects,
        sweep_s=settings.sweep_s,
        expire=partial(SteadyClock.of(engine).after_steady_time, bin.expire),
        expire_partial=partial(partial_uploads.expire, sessions.with_access),
        end_impossible_waits=partial(end_impossible_waits, engine),
    )
    decoders = build_decoders(settings)
    service = (
        build_checker_service(
            settings,
            MeasuredQueue(queue, metrics),
            objects,
            decoders,
            choices=ModelChoices(for_checks(engine)),
            profiles=MeasuredProfiles(for_checks(engine)),
            fetch=fetch,
        )
        if checker
        else None
    )
    secret_key = site_secret(settings)
    one_time_links = OneTimeLinks(requests_engine)
    return Services(
        settings=settings,
        secret_key=secret_key,
        engine=engine,
        users=users,
        usage=Usage(requests_engine),
        sign_ups=SignUps(requests_engine),
        sessions=sessions,
        second_factors=SecondFactors(requests_engine),
        api_tokens=ApiTokens(requests_engine, most=settings.max_api_tokens),
        attempts=AttemptLimits(
            Attempts(requests_engine),
            secret_key,
            account_rate=settings.password_rate,
            network_rate=settings.login_rate,
            register_rate=settings.register_rate,
            mail_rate=settings.mail_rate,
        ),
        photos=Photos(requests_engine, quotas),
        photo_files=PhotoFiles(requests_engine, quotas),
        replacements=Replacements(requests_engine),
        receipts=Receipts(requests_engine),
        quotas=quotas,
        administration=Administration(requests_engine),
        one_time_links=one_time_links,
        passkeys=Passkeys(requests_engine),
        seen_ids=WebhookIds(requests_engine),
        identities=Identities(requests_engine),
        provider=build_provider(settings),
        mails=build_mails(settings, one_time_links, users),
        audit_log=AuditLog(requests_engine),
        switches=Switches(requests_engine),
        statistics=CheckStatistics(requests_engine),
        upload_keys=UploadKeys(requests_engine),
        partial_uploads=partial_uploads,
        gallery=Gallery(requests_engine),
        bin=bin,
        album=Album(requests_engine),
        takedowns=Takedowns(requests_engine),
        model_choices=ModelChoices(requests_engine),
        random_audits=RandomAudits(requests_engine),
        shadow_runs=ShadowRuns(settings),
        measured_profiles=MeasuredProfiles(requests_engine),
        share_links=ShareLinks(requests_engine),
        rechecks=Rechecks(requests_engine),
        failed_photos=FailedPhotos(requests_engine),
        reviews=Reviews(requests_engine),
        activity=CheckerActivity(requests_engine),
        check_log=check_log,
        upkeep=Upkeep(requests_engine),
        queue=queue,
        ledger=ledger,
        objects=objects,
        signer=signer,
        dispatcher=choose_dispatcher(
            settings,
            signer,
            service.wake if service else None,
            partial(notify, requests_engine) if can_notify(engine) else None,
            broker.send if broker else None,
        ),
        deletion=deletion,
        decoders=decoders,
        explainer=Explainer(
            check_log,
            Explanations(requests_engine),
            objects,
            decode=decoders.decode.explained_photo,
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
            lambda: secret_of(
                settings.webhook_signing_secret,
                settings,
                "outgoing-webhook-secret",
                webhook_secrets,
                new_secret,
            ),
        ),
        listeners=build_listeners(engine, broker, service.wake, retry_s=settings.sweep_s) if service else (),
        metrics=metrics,
    )
