"""The five ports of the checker: image source, check queue, decoder, classifier and decision rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from checker.errors import CheckerError
from checker.values import Activations, Claim, Decision, Evidence, ModelInfo, Outcome, Pixels, Rendition
from models.catalogue import Preprocessing

WAKE_UP_PATH = "/checkcatimages-api"
"""Path of the endpoint that takes signed wake-ups, on the site (``internal``) and the stand-alone service."""


class ImageSource(Protocol):
    """The store of encoded renditions. Thread-safe."""

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        """Fetch one encoded rendition.

        Raises:
            StoreUnavailable: the store does not answer.
            ObjectMissing: the store has no such object.
            ObjectRefused: the store refuses this object but serves others.
            UnreadableImage: the source makes renditions itself and can't make one from this photo.
        """
        ...


class CheckQueue(Protocol):
    """The table of photos as a queue. Thread-safe and process-safe.

    Every method raises ``StoreUnavailable`` if the database does not answer.
    """

    @property
    def lease_s(self) -> float:
        """Seconds for which a claim holds after ``claim``, ``begin`` or the last ``renew``."""
        ...

    def claim(self, limit: int) -> Sequence[Claim]:
        """Take up to ``limit`` due photos; each belongs to this caller alone until its lease ends.

        Longest due first. Expired leases are reclaimed here: a photo whose decoding had begun has used up an
        attempt; the others become pending again without a counted attempt. While more photos are due than
        claims take, expired leases and photos given back by other processes may wait 10 s longer.
        """
        ...

    def begin(self, claims: Sequence[Claim]) -> list[bool]:
        """Count the attempt, right before these photos are decoded: from now on a crash is blamed on them.

        Returns:
            One flag per claim; False: the claim no longer holds, so its photo must not be decoded.
        """
        ...

    def renew(self, claims: Sequence[Claim]) -> None:
        """Restart the leases of the claims that still hold."""
        ...

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Write verdicts and log rows in one transaction.

        Returns:
            One flag per outcome; False: the claim no longer held, and nothing was written for it.
        """
        ...

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back, before or after ``begin``: no attempt is counted."""
        ...

    def next_due_s(self) -> float | None:
        """Seconds until a photo is due or a lease ends, 0 if one is; None: nothing is pending or claimed."""
        ...


class Decoder(Protocol):
    """Step 7, in this process or in others. Thread-safe."""

    def __call__(
        self, photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        """Yield each photo's model inputs, as ``checker.pixels.decode.model_inputs`` makes them, or an error.

        One result for each photo, in their order; raises nothing.
        """
        ...


class Classifier(Protocol):
    """A model on a device. ``run`` may be called from several threads at once."""

    @property
    def model_info(self) -> ModelInfo: ...

    @property
    def preprocessing(self) -> Preprocessing:
        """The input that the model expects, as ``checker.pixels.decode.decode`` makes it."""
        ...

    def run(self, batch: Pixels) -> Activations:
        """Normalise and classify uint8 ``(N, H, W, 3)`` RGB, H = W = ``preprocessing.input_px``.

        Raises:
            ClassifierFailed: the device failed (retryable).
        """
        ...

    def close(self) -> None:
        """Free the model. A later ``run`` raises ClassifierFailed."""
        ...


class DecisionRule(Protocol):
    """The step from activations to a verdict. Thread-safe."""

    def decide(self, evidence: Evidence) -> Decision:
        """Decide on one photo.

        Raises:
            ModelRefused: the rule was made for another model.
        """
        ...
