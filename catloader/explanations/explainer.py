"""Explanations: the areas of a photo with evidence for the subject, made on request and kept in S3.

An explanation is never part of a check. It is not made in the site's process: a child process loads torch.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from catloader.errors import CannotExplain, ExplainerBusy, ExplanationFailed, NotFound
from catloader.explanations.fair_lock import FairLock
from catloader.explanations.object_key import is_unaltered, key_for
from catloader.explanations.warm_child import WarmChild
from catloader.store.db.checks.check_log import CheckLog, CheckRecord, turned_deg_of
from catloader.store.db.checks.explanations import Explanations
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.unaltered import get_unaltered
from checker.decision.basis import DecisionBasis, model_of_decision
from checker.errors import CheckerError, ModelRefused
from checker.pixels.explained_photo import ExplainedPhoto
from models.catalogue import Preprocessing

logger = logging.getLogger(__name__)

LIMIT_S = 45.0
"""Time limit for one photo. Lite0 takes 3 s, ResNet-152 twice that; proxies time out after 60 s."""
PATIENCE_S = 6.0
"""Twice ``ExplainerBusy.retry_after_s``, the wait that a rejected request is asked for."""
KEEP_S = 60.0
"""People often look at several explanations. With a running process, an explanation takes one second instead
of eight."""


class Explainer:
    """Explains one photo at a time; a request during that time is rejected, not queued. Thread-safe.

    Unless the explanation is stored already, a call takes its thread and one core for some seconds, and the
    memory of ``WarmChild``.
    """

    def __init__(
        self,
        check_log: CheckLog,
        explanations: Explanations,
        objects: ObjectStore,
        *,
        decode: Callable[[bytes, Preprocessing], ExplainedPhoto],
        weights_dir: Path,
        subject: str,
        profile_folders: Iterable[Path],
        on_deletion_due: Callable[[], None],
        refuse_full_disk: Callable[[], None],
        limit_s: float = LIMIT_S,
        patience_s: float = PATIENCE_S,
        keep_s: float = KEEP_S,
    ) -> None:
        """
        Args:
            decode: turns a photo into pixels, in a process with limits; raises ``CheckerError``.
            subject: name or file of the subject in force.
            on_deletion_due: called when an object has become due for deletion.
            refuse_full_disk: raises StoreFull if the disk is nearly full.
            patience_s: as for ``FairLock``.
            keep_s: time after its last photo for which the child process keeps running.
        """
        self._check_log, self._explanations, self._objects = check_log, explanations, objects
        self._decode = decode
        self._weights_dir, self._subject, self._profile_folders = weights_dir, subject, tuple(profile_folders)
        self._on_deletion_due, self._limit_s = on_deletion_due, limit_s
        self._refuse_full_disk = refuse_full_disk
        self._lock = FairLock(patience_s)
        self._child = WarmChild(keep_s)

    @property
    def busy(self) -> bool:
        return self._lock.locked

    def explain(self, photo: Photo) -> str:
        """Return the key of a JPEG that explains a model's latest decision on a photo; make it if necessary.

        Raises:
            NotFound: nothing was decided yet, or the photo was deleted or replaced meanwhile.
            CannotExplain: the model or profile of the decision is no longer on this machine.
            StoreFull: the disk is nearly full.
            ExplainerBusy: another photo is being explained, or another owner is first in line.
            ExplanationFailed: the child process made no explanation, or not in time.
            ObjectAltered: the store has other bytes than were stored.
            StoreUnavailable: the object store or the database did not answer.
        """
        record = self._check_log.latest_decision(photo.id)
        if record is None:
            raise NotFound("No model has checked this photo yet, so there is nothing to explain.")
        turned_deg = turned_deg_of(record, photo)
        digest = _digest(record, turned_deg)
        stored = photo.explanation_key if photo.explanation_of == digest else None
        if stored and self._has(stored):
            return stored
        self._refuse_full_disk()
        if not self._lock.acquire(photo.owner_id):
            raise ExplainerBusy(
                "Another photo is being explained at the moment. Please try again in a moment."
            )
        try:
            basis = replace(self._basis(record), turned_deg=turned_deg)
            data = get_unaltered(self._objects, ObjectKind.PHOTO, photo.photo_key, photo.sha256)
            try:
                pixels = self._decode(data, basis.entry.preprocessing)
            except CheckerError as error:
                logger.error("photo %d could not be decoded for an explanation: %s", photo.id, error)
                raise ExplanationFailed("The explanation could not be made.") from error
            jpeg = self._child.ask(basis.to_json(), pixels, self._limit_s)
        finally:
            self._lock.release()
        return self._store(photo, jpeg, digest, lost=stored)

    def close(self) -> None:
        """Kill the child process, if there is one; a call that waits for it raises ``ExplanationFailed``."""
        self._child.close()

    def _has(self, key: str) -> bool:
        """Return True if the store has the explanation, unaltered; otherwise it must be made again."""
        for _ in range(2):  # a proxy may have altered the first response
            try:
                data = self._objects.get(ObjectKind.EXPLANATION, key)
            except NotFound:
                return False
            if is_unaltered(key, data):
                return True
        logger.error(
            "the object store holds other bytes under the key %s (explanation) than were stored; "
            "it is made again",
            key,
        )
        return False

    def _basis(self, record: CheckRecord) -> DecisionBasis:
        try:
            return model_of_decision(
                record,
                weights_dir=self._weights_dir,
                profile_folders=self._profile_folders,
                subject=self._subject,
            )
        except ModelRefused as error:
            raise CannotExplain("This photo can't be explained: %(reason)s.", reason=str(error)) from error

    def _store(self, photo: Photo, jpeg: bytes, digest: str, lost: str | None) -> str:
        """Reserve the key, put the object, record it; a process killed in between leaves a due deletion."""
        key = key_for(jpeg)
        self._explanations.reserve(key)
        self._objects.put(ObjectKind.EXPLANATION, key, jpeg)
        key_in_force = self._explanations.keep(photo.id, key, digest, lost=lost, photo_key=photo.photo_key)
        self._on_deletion_due()
        if key_in_force is None:
            raise NotFound("This photo was deleted or replaced in the meantime.")
        return key_in_force


def _digest(record: CheckRecord, turned_deg: int) -> str:
    """Return a digest that is equal for decisions with the same explanation, such as those of one model."""
    basis = (record.model, record.weights_sha256, record.profile_id, record.subject)
    # Other photos have the digests of earlier versions, so their explanations are kept.
    turned = (turned_deg,) if turned_deg else ()
    return hashlib.sha256(repr((*basis, *turned)).encode()).hexdigest()
