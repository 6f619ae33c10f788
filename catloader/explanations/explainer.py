"""Explanations: the places in a photo that spoke for the subject. Made on request, kept in the object store.

Never part of a check, and never made in the site's own process: a child process loads torch, explains one
photo and ends.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from catloader.errors import CannotExplain, ExplainerBusy, ExplanationFailed, NotFound
from catloader.explanations.fair_lock import FairLock
from catloader.processes import start_child
from catloader.store.db.check_log import CheckLog, CheckRecord
from catloader.store.db.deletions import RESERVED_FOR
from catloader.store.db.explanations import Explanations
from catloader.store.db.photos import Photo
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from checker.decision.basis import DecisionBasis, model_of_decision
from checker.errors import ModelRefused

logger = logging.getLogger(__name__)

LIMIT_S = 45.0
"""For one photo. Lite0 takes 3 s, ResNet-152 twice that; proxies hang up after 60 s."""
PATIENCE_S = 6.0
"""Twice ``ExplainerBusy.retry_after_s``, after which a rejected request is told to retry."""
_ROOT = Path(__file__).resolve().parents[2]


class Explainer:
    """Explains one photo at a time; no request waits for another one's photo. Thread-safe.

    Unless the explanation is stored already, a call takes some seconds of its own thread and of one core and,
    in the child process, about 700 MB (a third of it torch's files).
    """

    def __init__(
        self,
        check_log: CheckLog,
        explanations: Explanations,
        objects: ObjectStore,
        *,
        weights_dir: Path,
        subject: str,
        profile_folders: Iterable[Path],
        on_deletion_due: Callable[[], None],
        now: Callable[[], datetime],
        refuse_full_disk: Callable[[], None],
        limit_s: float = LIMIT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """
        Args:
            subject: name or file of the subject in force.
            on_deletion_due: called when an object has become due for deletion.
            refuse_full_disk: raises StoreFull.
            patience_s: as ``FairLock``'s.
        """
        self._check_log, self._explanations, self._objects = check_log, explanations, objects
        self._weights_dir, self._subject, self._profile_folders = weights_dir, subject, tuple(profile_folders)
        self._on_deletion_due, self._now, self._limit_s = on_deletion_due, now, limit_s
        self._refuse_full_disk = refuse_full_disk
        self._lock = FairLock(patience_s)
        self._child_guard = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        return self._lock.locked

    def explain(self, photo: Photo) -> str:
        """Return the key of a JPEG that explains the photo's latest decision by a model; make it if need be.

        Raises:
            NotFound: nothing was decided yet, or the photo was deleted meanwhile.
            CannotExplain: the model or profile that decided is not on this machine any more.
            StoreFull: the disk is nearly full.
            ExplainerBusy: another photo is being explained, or another owner is first in line.
            ExplanationFailed: the child process made none, or not in time.
            StoreUnavailable: the object store or the database did not answer.
        """
        record = self._check_log.latest_decision(photo.id)
        if record is None:
            raise NotFound("No model has checked this photo yet, so there is nothing to explain.")
        digest = _digest(record)
        stored = photo.explanation_key if photo.explanation_of == digest else None
        if stored and self._objects.exists(ObjectKind.EXPLANATION, stored):
            return stored
        self._refuse_full_disk()
        if not self._lock.acquire(photo.owner_id):
            raise ExplainerBusy("Another photo is being explained just now. Please try again in a moment.")
        try:
            jpeg = self._explain_in_child(
                self._basis(record), self._objects.get(ObjectKind.PHOTO, photo.photo_key)
            )
        finally:
            self._lock.release()
        return self._store(photo.id, jpeg, digest, lost=stored)

    def close(self) -> None:
        """Kill the child process, if there is one; the call that waits for it gets ``ExplanationFailed``."""
        with self._child_guard:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def _basis(self, record: CheckRecord) -> DecisionBasis:
        try:
            return model_of_decision(
                record,
                weights_dir=self._weights_dir,
                profile_folders=self._profile_folders,
                subject=self._subject,
            )
        except ModelRefused as error:
            raise CannotExplain(f"This photo can't be explained: {error}.") from error

    def _store(self, photo_id: int, jpeg: bytes, digest: str, lost: str | None) -> str:
        """Reserve, put, record, as an upload does: a process that dies in between leaves a due deletion."""
        key = f"{secrets.token_hex(16)}.jpg"
        self._explanations.reserve(key, self._now() + RESERVED_FOR)
        self._objects.put(ObjectKind.EXPLANATION, key, jpeg)
        key_in_force = self._explanations.keep(photo_id, key, digest, self._now(), lost=lost)
        self._on_deletion_due()
        if key_in_force is None:
            raise NotFound("This photo was deleted meanwhile.")
        return key_in_force

    def _explain_in_child(self, basis: DecisionBasis, photo: bytes) -> bytes:
        with self._start_child() as child:
            try:
                request = basis.to_json().encode() + b"\n" + photo
                jpeg, errors = child.communicate(request, timeout=self._limit_s)
            except subprocess.TimeoutExpired:
                raise ExplanationFailed(f"Explaining a photo took more than {self._limit_s:g} s.") from None
            finally:
                child.kill()  # without effect on one that has ended
                with self._child_guard:
                    self._child = None
        if child.returncode != 0:
            logger.error(
                "The explaining process ended with %d: %s", child.returncode, errors.decode(errors="replace")
            )
            raise ExplanationFailed("The explanation could not be made.")
        return jpeg

    def _start_child(self) -> subprocess.Popen[bytes]:
        import_paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self._child_guard:
            if self._closed:
                raise ExplanationFailed("The site is stopping.")
            self._child = start_child(
                # -P: nothing may be imported from the folder in which the site was started.
                [sys.executable, "-P", "-m", "catloader.explanations.child"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(import_paths), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            return self._child


def _digest(record: CheckRecord) -> str:
    """Return the same text for decisions with the same explanation: a recheck by the same model keeps it."""
    basis = (record.model, record.weights_sha256, record.profile_id, record.subject)
    return hashlib.sha256(repr(basis).encode()).hexdigest()
