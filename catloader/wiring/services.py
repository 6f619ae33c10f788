"""The services of a process of the site, and the order in which they start and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from catloader.accounts.attempts import AttemptLimits
from catloader.checks.dispatch import Dispatcher, Listening
from catloader.checks.shadow_runs import ShadowRuns
from catloader.checks.signatures import Signer
from catloader.decoders import Decoders
from catloader.deletion import DeletionWorker
from catloader.explanations.explainer import Explainer
from catloader.intake.partial import PartialUploads
from catloader.mail.account_mails import AccountMails
from catloader.metrics import Metrics
from catloader.settings import Settings
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.quotas import Quotas
from catloader.store.db.accounts.receipts import Receipts
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.sessions import Sessions
from catloader.store.db.accounts.sign_up import SignUps
from catloader.store.db.accounts.usage import Usage
from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.activity import CheckerActivity
from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.checks.check_statistics import CheckStatistics
from catloader.store.db.checks.failed_photos import FailedPhotos
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoices
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.checks.rechecks import Rechecks
from catloader.store.db.checks.switches import Switches
from catloader.store.db.engine import Engine
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
from catloader.store.db.upkeep import Upkeep
from catloader.store.db.webhooks.ids import WebhookIds
from catloader.store.s3.objects import ObjectStore
from catloader.webhooks.sender import WebhookSender
from checker.service import CheckerService

if TYPE_CHECKING:
    from catloader.oidc.provider import Provider


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a process. ``close`` ends their threads in an order that loses no data."""

    settings: Settings
    secret_key: str
    engine: Engine
    users: Users
    usage: Usage
    sign_ups: SignUps
    sessions: Sessions
    second_factors: SecondFactors
    api_tokens: ApiTokens
    attempts: AttemptLimits
    photos: Photos
    photo_files: PhotoFiles
    replacements: Replacements
    receipts: Receipts
    quotas: Quotas
    administration: Administration
    one_time_links: OneTimeLinks
    mails: AccountMails | None
    passkeys: Passkeys
    seen_ids: WebhookIds
    identities: Identities
    provider: Provider | None
    audit_log: AuditLog
    switches: Switches
    statistics: CheckStatistics
    upload_keys: UploadKeys
    partial_uploads: PartialUploads
    gallery: Gallery
    bin: Bin
    album: Album
    takedowns: Takedowns
    model_choices: ModelChoices
    random_audits: RandomAudits
    shadow_runs: ShadowRuns
    measured_profiles: MeasuredProfiles
    share_links: ShareLinks
    rechecks: Rechecks
    failed_photos: FailedPhotos
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
    listeners: tuple[Listening, ...]
    webhooks: WebhookSender | None
    metrics: Metrics

    def start(self) -> None:
        """Start the threads and the decoders. Call this after a fork, because threads do not survive it."""
        self.decoders.start()
        self.deletion.start()
        if self.checker is not None:
            self.checker.start()
        for listener in self.listeners:
            listener.start()
        if self.webhooks is not None:
            self.webhooks.start()
        if self.mails is not None:
            self.mails.outbox.start()

    def close(self) -> None:
        self.explainer.close()
        self.shadow_runs.close()
        self.dispatcher.close()
        for listener in self.listeners:
            listener.close()
        if self.webhooks is not None:
            self.webhooks.close()
        if self.mails is not None:
            self.mails.outbox.close()
        if self.checker is not None:
            self.checker.close(timeout_s=1.0)
        self.deletion.close()
        self.decoders.close()
        self.engine.dispose()
