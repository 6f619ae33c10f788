"""Explanations: where in a photo the network saw what it decided by. Made when somebody asks, kept in S3.

Never in the checking path, and never in the site's own process: a child loads torch, explains one photo
and is gone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catloader.errors import CannotExplain, ExplainerBusy, ExplanationFailed, NotFound
from catloader.explanations.fair_lock import Turns
from catloader.processes import start_child
from catloader.store.db.check_log import CheckLog, CheckRecord
from catloader.store.db.deletions import RESERVED_FOR
from catloader.store.db.explanations import Explanations
from catloader.store.db.photos import Photo
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from checker.decision.head import Head
from checker.decision.operating_point import UNCALIBRATED
from checker.decision.profile import load_profile
from checker.decision.subject import Subject, load_subject
from checker.errors import ModelRefused
from models.catalogue import Entry, resolve
from models.digest import verify
from models.errors import ModelsError

logger = logging.getLogger(__name__)

LIMIT_S = 45.0
"""For one photo. Lite0 takes 3 s, ResNet-152 twice that; proxies hang up after 60 s."""
# Who was sent away is told to come again in three seconds.
_PATIENCE_S = 6.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Basis:
    """What decided: the network, and the function from its activations to the score."""

    entry: Entry
    weights: Path
    subject: Subject
    head: Head

    def to_json(self) -> str:
        return json.dumps(
            {
                "model": self.entry.name,
                "weights": str(self.weights),
                "subject": self.subject.name,
                "classes": self.subject.classes,
                "head": self.head.to_json(),
            }
        )


class Explainer:
    """Explains one photo at a time; who comes meanwhile has to come again, and no request waits for another.

    A call takes its own thread, one core and, in the child, about 700 MB (a third of it torch's files) for
    some seconds, unless the explanation lies in S3 already.
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
    ) -> None:
        """
        Args:
            subject: the one that is looked for now: name or file.
            on_deletion_due: called when an object has become due for deletion.
            refuse_full_disk: raises StoreFull.
        """
        self._check_log, self._explanations, self._objects = check_log, explanations, objects
        self._weights_dir, self._subject, self._folders = weights_dir, subject, tuple(profile_folders)
        self._on_deletion_due, self._now, self._limit_s = on_deletion_due, now, limit_s
        self._refuse_full_disk = refuse_full_disk
        self._turns = Turns(_PATIENCE_S)
        self._starting = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        return self._turns.taken

    def explain(self, image: Photo) -> str:
        """Return the key of a JPEG that explains the photo's latest decision by a model.

        Raises:
            NotFound: nothing was decided yet, or the photo was deleted meanwhile.
            CannotExplain: what decided is not on this machine any more.
            StoreFull: the disk is.
            ExplainerBusy: another photo's turn, or that of somebody who came before.
            ExplanationFailed: the child gave none; StoreUnavailable: S3 or the database did not answer.
        """
        record = self._check_log.latest_decision(image.id)
        if record is None:
            raise NotFound("No network has judged this photo yet, so there is nothing to explain.")
        of = _digest(record)
        kept = image.explanation_key if image.explanation_of == of else None
        if kept and self._objects.exists(ObjectKind.EXPLANATION, kept):
            return kept
        self._refuse_full_disk()
        if not self._turns.take(image.owner_id):
            raise ExplainerBusy("Another photo is being explained just now. Please try again in a moment.")
        try:
            basis = self._basis(record)
            photo = self._objects.get(ObjectKind.PHOTO, image.photo_key)
            picture = self._in_child(basis, photo)
        finally:
            self._turns.end()
        return self._keep(image.id, picture, of, lost=kept)

    def close(self) -> None:
        """Kill the child, if there is one; whoever waits for it gets ``ExplanationFailed``."""
        with self._starting:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def _keep(self, photo_id: int, picture: bytes, of: str, lost: str | None) -> str:
        """Reserve, put, record, as an upload does: a process that dies in between leaves a due deletion."""
        key = f"{secrets.token_hex(16)}.jpg"
        self._explanations.reserve(key, self._now() + RESERVED_FOR)
        self._objects.put(ObjectKind.EXPLANATION, key, picture)
        kept = self._explanations.keep(photo_id, key, of, self._now(), lost=lost)
        self._on_deletion_due()
        if kept is None:
            raise NotFound("This photo was deleted meanwhile.")
        return kept

    def _basis(self, record: CheckRecord) -> Basis:
        gone = f"The network that judged this photo, {record.model}, is not on this machine any more."
        try:
            entry, weights = resolve(str(record.model), self._weights_dir)
            # An int8 network has a digest of its own, and no gradients: its source speaks for it.
            as_then = verify(entry, weights) == record.weights_sha256 or record.precision == "int8"
        except ModelsError as error:
            raise CannotExplain(gone) from error
        if not as_then:
            raise CannotExplain(gone)
        try:
            return Basis(entry, weights, *self._aim(record))
        except ModelRefused as error:
            raise CannotExplain(f"This photo cannot be explained: {error}") from error

    def _aim(self, record: CheckRecord) -> tuple[Subject, Head]:
        if record.profile_id != UNCALIBRATED:
            for path in (path for folder in self._folders for path in sorted(folder.glob("*.json"))):
                profile = load_profile(path)
                if profile.profile_id == record.profile_id:
                    return profile.key.subject, profile.head
            raise CannotExplain(
                "What was measured for the network has changed since this photo was judged; "
                "it can be explained after its next check."
            )
        for name in (self._subject, str(record.subject)):
            subject = load_subject(name)
            if subject.name == record.subject:
                return subject, Head()
        raise CannotExplain(f"This site does not know any more what a {record.subject} is.")

    def _in_child(self, basis: Basis, photo: bytes) -> bytes:
        with self._start_child() as child:
            try:
                given = basis.to_json().encode() + b"\n" + photo
                picture, said = child.communicate(given, timeout=self._limit_s)
            except subprocess.TimeoutExpired:
                raise ExplanationFailed(f"Explaining a photo took more than {self._limit_s:g} s.") from None
            finally:
                child.kill()  # one that has ended takes no notice
                with self._starting:
                    self._child = None
        if child.returncode != 0:
            logger.error(
                "The explaining process ended with %d: %s", child.returncode, said.decode(errors="replace")
            )
            raise ExplanationFailed("The explanation could not be made.")
        return picture

    def _start_child(self) -> subprocess.Popen[bytes]:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self._starting:
            if self._closed:
                raise ExplanationFailed("The site is stopping.")
            self._child = start_child(
                # -P: what lies in the folder that the site was started from is not to be imported.
                [sys.executable, "-P", "-m", "catloader.explanations.child"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            return self._child


def _digest(record: CheckRecord) -> str:
    """The same for decisions with the same explanation: a recheck by the same network changes nothing."""
    rests_on = (record.model, record.weights_sha256, record.profile_id, record.subject)
    return hashlib.sha256(repr(rests_on).encode()).hexdigest()
