"""Import many photos for one owner, like uploads; leave out photos that the owner has already."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from catloader.checks.dispatch import Dispatcher
from catloader.errors import CatLoaderError, QuotaReached, StoreFull, StoreUnavailable, UploadsBusy
from catloader.intake.prepare import Prepared
from catloader.intake.upload import Preparer, Refused, upload
from catloader.settings import Settings
from catloader.store.db.photos.photos import Photos
from catloader.store.s3.objects import ObjectStore
from catloader.transfer.journal import Journal
from catloader.transfer.sources import Source, SourceError, SourceFile

_BUSY_S = 0.5
_STOPS = {error.__name__: error for error in (StoreUnavailable, StoreFull, QuotaReached)}
"""Refusals that every later file would get too, after it was decoded and its objects were stored."""


class Result(StrEnum):
    """The result for one file."""

    IMPORTED = "imported"
    WOULD_IMPORT = "would be imported"
    DUPLICATE = "the owner has it already"
    NO_PHOTO = "not named like a photo"
    DONE_BEFORE = "done by an earlier run"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Imported:
    """A file and its result."""

    name: str
    result: Result
    reason: str = ""
    """Reason of a refusal, in one sentence."""


class _NotStored(CatLoaderError):
    """Ends an upload between its preparation and its storing."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.value)


class Importer:
    """Imports files for one owner.

    Two files are the same photo if the same bytes would be stored for them: a copy with another name, or with
    other metadata. Memory: about 100 bytes for each photo of the owner.
    """

    def __init__(
        self,
        settings: Settings,
        owner_id: int,
        *,
        prepare: Preparer,
        photos: Photos,
        objects: ObjectStore,
        dispatcher: Dispatcher,
        known: set[bytes],
        dry_run: bool = False,
    ) -> None:
        """
        Args:
            known: the SHA-256 of each photo of the owner; the digests of new photos are added.
            dry_run: prepare every file, but store none.
        """
        self._settings, self._owner_id, self._dry_run = settings, owner_id, dry_run
        self._prepare, self._photos, self._objects = prepare, photos, objects
        self._dispatcher = dispatcher
        self._lock = threading.Lock()
        self._digests = known

    def run(self, source: Source, journal: Journal | None, *, at_once: int) -> Iterator[Imported]:
        """Import all files; yield each result, roughly in the order of the names.

        Args:
            journal: records each finished file, except refused files; None: a dry run.
            at_once: number of files that are prepared at the same time. Each takes memory for its bytes and
                its prepared photo.

        Raises:
            SourceError: the source does not exist.
            StoreUnavailable, StoreFull, QuotaReached: no file can be stored at the moment; resume later with
                the journal.
        """
        skipped: list[str] = []
        pending: list[tuple[SourceFile, Future[Imported]]] = []
        with ThreadPoolExecutor(at_once, "import") as pool:
            try:
                for file in source.files(skipped.append):
                    yield from _no_photos(skipped)
                    if journal is not None and journal.has(file):
                        yield Imported(file.name, Result.DONE_BEFORE)
                        continue
                    pending.append((file, pool.submit(self._one, file)))
                    if len(pending) > 2 * at_once:
                        yield _finished(*pending.pop(0), journal)
                yield from _no_photos(skipped)
                while pending:
                    yield _finished(*pending.pop(0), journal)
            finally:
                for _, future in pending:
                    future.cancel()

    def _one(self, file: SourceFile) -> Imported:
        try:
            data = file.read()
        except SourceError as error:
            return Imported(file.name, Result.REFUSED, str(error))
        while True:
            (outcome,) = upload(
                [(file.name, data)],
                (),
                self._owner_id,
                settings=self._settings,
                prepare=self._prepare_new,
                photos=self._photos,
                objects=self._objects,
                dispatcher=self._dispatcher,
            )
            if not isinstance(outcome, Refused):
                return Imported(file.name, Result.IMPORTED)
            if outcome.kind == UploadsBusy.__name__:
                time.sleep(_BUSY_S)
                continue
            if outcome.kind in _STOPS:
                raise _STOPS[outcome.kind](outcome.error)
            if outcome.kind == _NotStored.__name__:
                return Imported(file.name, Result(outcome.error))
            return Imported(file.name, Result.REFUSED, outcome.error)

    def _prepare_new(self, data: bytes, owner_id: int) -> Prepared:
        prepared = self._prepare(data, owner_id)
        digest = bytes.fromhex(prepared.sha256)
        with self._lock:
            if digest in self._digests:
                raise _NotStored(Result.DUPLICATE)
            self._digests.add(digest)
        if self._dry_run:
            raise _NotStored(Result.WOULD_IMPORT)
        return prepared


def _finished(file: SourceFile, future: Future[Imported], journal: Journal | None) -> Imported:
    imported = future.result()
    if (
        journal is not None and imported.result is not Result.REFUSED
    ):  # a resumed run tries refused files again
        journal.add(file)
    return imported


def _no_photos(skipped: list[str]) -> Iterator[Imported]:
    while skipped:
        yield Imported(skipped.pop(0), Result.NO_PHOTO)
