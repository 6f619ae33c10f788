"""Steps 5 to 10 in a bounded pool: each worker takes micro-batches from claim to verdict.

A worker decodes and classifies with one compute thread while the bytes of its next batch are fetched. On a
CPU this is faster than one larger, shared batch, because no thread waits for another.

Memory, at most, in addition to the model: ``workers x 2 x batch_photos`` encoded photos and thumbnails (the
batch being classified and the one being fetched), and for each worker one decoded photo (with the default
upload limits 2560 x 2560 x 4 bytes = 26 MB), what ``decode.keep_memory`` keeps, and one forward pass.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from checker import pipeline
from checker.errors import CheckerError, NotReady
from checker.heartbeat import Heartbeat
from checker.in_hand import InHand
from checker.log_limit import LogLimits
from checker.pipeline import Fetched, LoadedModel
from checker.pixels.decode import decode_each, keep_memory
from checker.plurals import counted
from checker.ports import CheckQueue, Decoder, ImageSource
from checker.tally import ERROR, LOST, Tally, kind_of
from checker.values import Claim, Outcome

logger = logging.getLogger(__name__)


class Workers:
    """The pool. ``changed`` guards its state and is notified when a worker becomes idle."""

    def __init__(
        self,
        queue: CheckQueue,
        source: ImageSource,
        decode: Decoder = decode_each,
        *,
        workers: int,
        batch_photos: int,
    ) -> None:
        self._queue, self._source, self._decode = queue, source, decode
        self._workers, self._batch_photos = workers, batch_photos
        self.changed = threading.Condition()
        self.active = 0
        """Workers that are not idle."""
        self.paused = False
        """The store or the model failed: no more claims until the whole pool is idle."""
        self.finished = 0
        """Photos whose verdict was written by this process."""
        self._wake_ups = 0
        self._model: LoadedModel | None = None
        self._classifying: list[LoadedModel] = []
        self._closing = False
        self._in_hand = InHand(queue, self.changed)
        self._heartbeat: Heartbeat | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._fetchers: ThreadPoolExecutor | None = None
        self._tally, self._log_limits = Tally(), LogLimits()

    @property
    def in_hand(self) -> int:
        """Photos claimed and not finished."""
        return len(self._in_hand)

    def wake(self, model: LoadedModel) -> None:
        """Start every idle worker; busy workers look at the queue once more. Call with ``changed`` held.

        Batches that start from now on are classified by ``model``.
        """
        if self._closing:
            return
        self._model = model
        if self._pool is None or self._fetchers is None:
            keep_memory(self._workers)
            self._pool = ThreadPoolExecutor(self._workers, "check")
            self._fetchers = ThreadPoolExecutor(self._workers, "fetch")
            self._heartbeat = Heartbeat(self._queue, self._in_hand.since, self.changed)
        if self.active == 0:
            self.paused = False
            self._tally.restart()
        self._wake_ups += 1
        while self.active < self._workers:
            self.active += 1
            self._pool.submit(self._run)

    def classify(self, batch: Sequence[Fetched]) -> list[Outcome]:
        """Decode and classify photos that are not in a queue, in the caller's thread; nothing is written.

        Raises:
            NotReady: there is no model yet.
        """
        with self.changed:
            if self._model is None:
                raise NotReady("The model is not loaded yet.")
        return self._classify(batch)

    def wait_until_unused(self, model: LoadedModel) -> None:
        """Wait until no batch is being classified by ``model``, after another model has taken over."""
        with self.changed:
            self.changed.wait_for(lambda: not any(used is model for used in self._classifying))

    def close(self, timeout_s: float) -> bool:
        """Finish running batches within ``timeout_s``, release other claims; True: all workers have ended."""
        with self.changed:
            self._closing = True
            ended = self.changed.wait_for(lambda: not (self.active or self._classifying), timeout_s)
            unfinished = list(self._in_hand.since)
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._in_hand.release(unfinished)
        for pool in filter(None, (self._pool, self._fetchers)):
            pool.shutdown(wait=False, cancel_futures=True)
        return ended

    def _run(self) -> None:
        """Work until the queue has nothing due (the target of a worker's thread)."""
        idle = False
        while not idle:
            wake_ups = self._wake_ups
            try:
                self._check_all_due()
            except Exception:  # the top of this thread
                self.paused = True
                logger.exception("a worker failed; its photos wait for the end of their lease")
            with self.changed:
                # A wake-up since the last look at the queue would be lost if this worker became idle now.
                idle = self._wake_ups == wake_ups
                if idle:
                    self.active -= 1
                    if self.active == 0:
                        self._tally.log()
                    self.changed.notify_all()

    def _check_all_due(self) -> None:
        upcoming, following = self._claim_and_fetch(), None
        try:
            while upcoming is not None:
                claims, fetching = upcoming
                batch = fetching.result()
                following = self._claim_and_fetch()  # runs during the decoding and the forward pass
                for place, part in enumerate(pipeline.parts(batch)):
                    if self._closing or (place and self.paused):
                        self._in_hand.release(item.claim for item in part)
                    elif held := self._begin(part):
                        self._settle(self._classify(held))
                upcoming = following
        except Exception:
            for claims, _ in filter(None, (upcoming, following)):
                self._in_hand.forget(claims)  # or the heartbeat would keep renewing them
            raise

    def _begin(self, part: Sequence[Fetched]) -> list[Fetched]:
        """Count the attempts of the photos that are decoded next; leave out photos whose claim was lost."""
        fetched = [item.claim for item in part if item.error is None]
        try:
            held = dict(zip(fetched, self._queue.begin(fetched), strict=True)) if fetched else {}
        except CheckerError as error:
            self._in_hand.forget(item.claim for item in part)
            self._pause(f"{counted(len(part), 'photo')} kept until the lease ends", error)
            return []
        lost = [claim for claim in fetched if not held[claim]]
        self._in_hand.forget(lost)
        with self.changed:
            for _ in lost:
                self._tally.add(LOST)
        return [item for item in part if held.get(item.claim, True)]

    def _classify(self, batch: Sequence[Fetched]) -> list[Outcome]:
        with self.changed:
            model = self._model
            assert model is not None
            self._classifying.append(model)
        try:
            return pipeline.classify(batch, model.classifier, model.rule, self._decode)
        finally:
            with self.changed:
                self._classifying.remove(model)
                if model is not self._model or self._closing:
                    self.changed.notify_all()

    def _claim_and_fetch(self) -> tuple[list[Claim], Future[list[Fetched]]] | None:
        """Claim the next batch and start its fetch; None: nothing is due, or the pool pauses or closes."""
        if self._closing or self.paused:
            return None
        try:
            if not (claims := list(self._queue.claim(self._batch_photos))):
                return None
        except CheckerError as error:
            self._pause("no photos could be claimed", error)
            return None
        self._in_hand.hold(claims)
        assert self._fetchers is not None
        try:
            return claims, self._fetchers.submit(pipeline.fetch, claims, self._source)
        except RuntimeError:  # the pool was closed during the claim, or the system allows no further thread
            self._in_hand.release(claims)
            if self._closing:
                return None
            raise

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write the outcomes of claims still in hand (step 10); release all if the machine failed on all."""
        if all(outcome.blames_machine for outcome in outcomes):
            self._in_hand.release(outcome.claim for outcome in outcomes)
            self._pause(f"{counted(len(outcomes), 'photo')} released", outcomes[0].error or "")
            return
        with self.changed:
            outcomes = [outcome for outcome in outcomes if outcome.claim in self._in_hand]
        self._in_hand.forget(outcome.claim for outcome in outcomes)
        if outcomes:
            self._write(outcomes)

    def _write(self, outcomes: Sequence[Outcome]) -> bool:
        """Write in one transaction, or one by one if that fails; False: nothing was written."""
        try:
            written = self._queue.finish(outcomes)
        except CheckerError as error:
            ids = ", ".join(str(outcome.claim.photo_id) for outcome in outcomes)
            self._pause(f"kept until the lease ends: photos {ids}", error)
            return False
        except Exception:  # the boundary of one photo, as in the pipeline
            if len(outcomes) == 1:
                logger.exception("photo %d waits for the end of its lease", outcomes[0].claim.photo_id)
                return False
            written_alone = [self._write([outcome]) for outcome in outcomes]
            if not any(written_alone):
                self._pause("no verdicts could be written", "see above")
            return any(written_alone)
        for outcome, was_written in zip(outcomes, written, strict=True):
            self._count(outcome, was_written)
        return True

    def _count(self, outcome: Outcome, was_written: bool) -> None:
        claim, error = outcome.claim, outcome.error
        if error is not None:
            logger.warning("photo %d, attempt %d: %s", claim.photo_id, claim.attempt, error)
        kind = kind_of(outcome)
        with self.changed:
            self.finished += was_written and kind != ERROR
            self._tally.add(kind if was_written else LOST)

    def _pause(self, effect: str, reason: CheckerError | str) -> None:
        """Claim nothing more until the whole pool is idle. One log line a minute."""
        self.paused = True
        if (suffix := self._log_limits.suffix("paused")) is not None:
            logger.warning("%s; trying again at every sweep: %s%s", effect, reason, suffix)
