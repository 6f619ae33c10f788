"""The services of a process of the site, and the order in which they start and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from catloader.attempts import AttemptLimits
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
from catloader.store.db.activity import CheckerActivity
from catloader.store.db.administration import Administration
from catloader.store.db.album import Album
from catloader.store.db.api_tokens import ApiTokens
from catloader.store.db.audit_log import AuditLog
from catloader.store.db.bin import Bin
from catloader.store.db.check_log import CheckLog
from catloader.store.db.check_statistics import CheckStatistics
from catloader.store.db.deletions import Deletions
from catloader.store.db.engine import Engine
from catloader.store.db.failed_photos import FailedPhotos
from catloader.store.db.gallery import Gallery
from catloader.store.db.identities import Identities
from catloader.store.db.measured_profiles import MeasuredProfiles
from catloader.store.db.model_choices import ModelChoices
from catloader.store.db.one_time_links import OneTimeLinks
from catloader.store.db.passkeys import Passkeys
from catloader.store.db.photo_files import PhotoFiles
from catloader.store.db.photos import Photos
from catloader.store.db.queue import SqlCheckQueue
from catloader.store.db.quotas import Quotas
from catloader.store.db.random_audits import RandomAudits
from catloader.store.db.receipts import Receipts
from catloader.store.db.rechecks import Rechecks
from catloader.store.db.replacements import Replacements
from catloader.store.db.reviews import Reviews
from catloader.store.db.second_factors import SecondFactors
from catloader.store.db.sessions import Sessions
from catloader.store.db.share_links import ShareLinks
from catloader.store.db.sign_up import SignUps
from catloader.store.db.switches import Switches
from catloader.store.db.takedowns import Takedowns
from catloader.store.db.upkeep import Upkeep
from catloader.store.db.upload_keys import UploadKeys
from catloader.store.db.usage import Usage
from catloader.store.db.users import Users
from catloader.store.db.webhook_ids import WebhookIds
from catloader.store.s3.objects import ObjectStore
from catloader.webhooks.sender import WebhookSender
from checker.service import CheckerService

if TYPE_CHECKING:
    from catloader.oidc.provider import Provider


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a process. ``close`` ends the threads in an order that loses no data."""

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
        """Start the threads and the decoders. Call it after a fork, which would lose them."""
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
