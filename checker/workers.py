"""Steps 5 to 10 in a bounded pool: each worker takes micro-batches from claim to verdict.

A worker decodes and classifies by itself, with one compute thread, and the bytes of its next batch are
fetched meanwhile. On a CPU that beats one shared, larger batch: no thread waits for another one.

Memory, at most, beside the network: ``workers x 2 x batch_photos`` encoded photos and thumbnails (the batch
at work and the one that is being fetched), and for each worker one decoded photo (with the default upload
limits 2560 x 2560 x 4 bytes = 26 MB), what ``decode.keep_memory`` keeps, and one forward pass.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from checker import pipeline
from checker.errors import CheckerError
from checker.pipeline import Fetched, LoadedModel
from checker.pixels.decode import keep_memory
from checker.ports import CheckQueue, ImageSource
from checker.values import Claim, Outcome

logger = logging.getLogger(__name__)

_LOG_EVERY_S = 60.0


class Workers:
    """The pool. ``changed`` guards its state and is notified when a worker comes to rest."""

    def __init__(self, queue: CheckQueue, source: ImageSource, *, workers: int, batch_photos: int) -> None:
        self._queue, self._source = queue, source
        self._workers, self._batch_photos = workers, batch_photos
        self.changed = threading.Condition()
        self.active = 0
        """Workers that are not at rest."""
        self.paused = False
        """The store or the network is away: no more claims until the pool has come to rest."""
        self.finished = 0
        """Photos that got their verdict from this process."""
        self._looks = 0  # a worker that is about to rest sees whether another look was asked for meanwhile
        self._closing = False
        self._in_hand: set[Claim] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._fetchers: ThreadPoolExecutor | None = None
        self._tally: Counter[str] = Counter()
        self._tally_since_s = 0.0

    @property
    def in_hand(self) -> int:
        """Photos claimed and not finished."""
        return len(self._in_hand)

    def send(self, loaded: LoadedModel) -> None:
        """One look at the queue: sends every worker that rests. Called under ``changed``; does not wait."""
        if self._closing:
            return
        if self._pool is None or self._fetchers is None:
            keep_memory(self._workers)
            self._pool = ThreadPoolExecutor(self._workers, "check")
            self._fetchers = ThreadPoolExecutor(self._workers, "fetch")
        if self.active == 0:
            self.paused, self._tally_since_s = False, time.monotonic()
        self._looks += 1
        while self.active < self._workers:
            self.active += 1
            self._pool.submit(self._work, loaded)

    def close(self, timeout_s: float) -> bool:
        """Finish the batches at work if ``timeout_s`` allows and give all other claims back.

        Returns:
            Whether every worker has ended.
        """
        with self.changed:
            self._closing = True
            ended = self.changed.wait_for(lambda: self.active == 0, timeout_s)
            left = list(self._in_hand)
        self._give_back(left)
        for pool in (self._pool, self._fetchers):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
        return ended

    def _work(self, loaded: LoadedModel) -> None:
        """One worker, from its first claim until the queue has nothing due."""
        resting = False
        while not resting:
            looks = self._looks
            try:
                self._work_off(loaded)
            except Exception:  # the top of this thread
                self.paused = True
                logger.exception("a worker failed; the photos it had in hand wait for the end of their lease")
            with self.changed:
                # A look asked for after ours would be lost if we just left.
                resting = self._looks == looks or self.paused or self._closing
                if resting:
                    self.active -= 1
                    self._log_tally(at_rest=self.active == 0)
                    self.changed.notify_all()

    def _work_off(self, loaded: LoadedModel) -> None:
        following = self._take()
        while following is not None:
            claims, fetching = following
            batch = fetching.result()
            following = self._take()  # its fetch runs while we decode and classify
            if self._closing:
                self._give_back(claims)
            else:
                self._settle(pipeline.judge(batch, loaded.classifier, loaded.rule))

    def _take(self) -> tuple[list[Claim], Future[list[Fetched]]] | None:
        """Claim the next batch and start its fetch."""
        if self._closing or self.paused:
            return None
        try:
            claims = list(self._queue.claim(self._batch_photos))
        except CheckerError as error:
            self._pause(f"no photo could be claimed: {error}")
            return None
        if not claims:
            return None
        with self.changed:
            self._in_hand.update(claims)
        assert self._fetchers is not None
        return claims, self._fetchers.submit(pipeline.fetch, claims, self._source)

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        """Step 10; or, where all failed and no photo is to blame, all go back with their attempts."""
        if all(outcome.blames_machine for outcome in outcomes):
            self._give_back(outcome.claim for outcome in outcomes)
            self._pause(f"{len(outcomes)} photos go back to the queue: {outcomes[0].error}")
            return
        with self.changed:
            outcomes = [outcome for outcome in outcomes if outcome.claim in self._in_hand]  # else given back
            self._in_hand.difference_update(outcome.claim for outcome in outcomes)
        if outcomes:
            self._write(outcomes)

    def _write(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether anything could be written."""
        try:
            ours = self._queue.finish(outcomes)
        except CheckerError as error:
            names = ", ".join(str(outcome.claim.photo_id) for outcome in outcomes)
            self._pause(f"these photos wait for the end of their lease ({names}): {error}")
            return False
        except Exception:  # as in the pipeline: whatever it is, the others go on
            if len(outcomes) == 1:
                logger.exception("photo %d waits for the end of its lease", outcomes[0].claim.photo_id)
                return False
            written = [self._write([outcome]) for outcome in outcomes]
            if not any(written):
                self._pause("no verdict could be written")
                return False
            return True
        for outcome, is_ours in zip(outcomes, ours, strict=True):
            self._count(outcome, is_ours)
        return True

    def _count(self, outcome: Outcome, ours: bool) -> None:
        if outcome.error is not None:
            logger.warning("photo %d: %s", outcome.claim.photo_id, outcome.error)
        word = "unreadable" if outcome.unreadable else "failed"
        if outcome.decision is not None:
            word = str(outcome.decision.verdict)
        with self.changed:
            self._tally[word if ours else "taken over by another checker"] += 1
            self.finished += ours and word != "failed"
            self._log_tally(at_rest=False)

    def _log_tally(self, *, at_rest: bool) -> None:
        """One line when the pool comes to rest, and one a minute before that. Called under ``changed``."""
        seconds = time.monotonic() - self._tally_since_s
        if self._tally and (at_rest or seconds > _LOG_EVERY_S):
            photos = sum(self._tally.values())
            words = ", ".join(f"{count} {word}" for word, count in sorted(self._tally.items()))
            each_ms = seconds * 1000 / photos
            s = "" if photos == 1 else "s"
            logger.info("checked %d photo%s in %.2f s (%.0f ms each): %s", photos, s, seconds, each_ms, words)
            self._tally.clear()
            self._tally_since_s = time.monotonic()

    def _give_back(self, claims: Iterable[Claim]) -> None:
        with self.changed:
            ours = [claim for claim in claims if claim in self._in_hand]
            self._in_hand.difference_update(ours)
        if ours:
            try:
                self._queue.release(ours)
            except CheckerError as error:
                logger.warning("%d photos wait for the end of their lease: %s", len(ours), error)

    def _pause(self, why: str) -> None:
        self.paused = True
        logger.warning("%s; the sweep tries again", why)
