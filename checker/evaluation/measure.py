"""Measure a model on labelled photos once; the activations are kept in arrays."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.evaluation.augment import SOFT_AUGMENTATIONS, pasted, soft
from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE, LabelledPhoto, describe, naming
from checker.evaluation.progress import progress_bar
from checker.pixels.decode import model_inputs
from checker.pixels.detail import is_soft
from checker.ports import Classifier
from checker.values import Activations, Evidence, Pixels, Rendition
from models.catalogue import Preprocessing

BATCH_PHOTOS = 4
SEED = 7
_BACKGROUNDS = 64
SOFT, PASTED = "soft", "pasted"
Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Augmented:
    """Augmented photos, made for calibration. Row i of every array is augmentation i."""

    evidence: Evidence
    photo: npt.NDArray[np.int64]
    """Row of the photo that the augmentation is made of."""
    augmentation: Strings
    """``SOFT`` or ``PASTED``."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Row i of every array is photo i."""

    names: tuple[str, ...]
    labels: Strings
    kinds: Strings
    """``LabelledPhoto.kind_or_label``."""
    evidence: Evidence
    data: dict[str, Any]
    """Counts and digest."""
    photos_per_s: float
    """Decode and forward of all inputs, one thread; files are read before, augmentations do not count."""
    peak_bytes: int
    """Resident memory of this process so far."""
    augmented: Augmented | None = None

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Shape ``(n,)``."""
        return np.asarray(self.labels == CAT)

    @property
    def wild(self) -> npt.NDArray[np.bool_]:
        """Shape ``(n,)``."""
        return np.asarray(self.labels == WILD_FELINE)


def measure(photos: Sequence[LabelledPhoto], classifier: Classifier, *, augmented: bool = False) -> Measured:
    """Run the model on the inputs of every photo.

    Args:
        augmented: also measure soft photos and photos pasted small into others: two and one per photo.
    Raises:
        UnusablePhotos: names a photo that can't be read.
    """
    digests: list[str] = []
    busy_s = 0.0
    plain, made = _Rows(), _Rows()
    maker = _Augmenter(photos, classifier.preprocessing) if augmented else None
    info = classifier.model_info
    with progress_bar(len(photos), f"{info.model}, {info.runtime} {info.precision}", "photos") as progress:
        for start in range(0, len(photos), BATCH_PHOTOS):
            batch = photos[start : start + BATCH_PHOTOS]
            files = [photo.read() for photo in batch]
            digests += [
                hashlib.sha256(b"".join(file[one] for one in Rendition)).hexdigest() for file in files
            ]
            started_s = time.perf_counter()
            inputs: list[Pixels] = []
            for photo, file in zip(batch, files, strict=True):
                with naming(photo.name):
                    inputs.append(model_inputs(file, classifier.preprocessing))
            plain.run(classifier, inputs)
            busy_s += time.perf_counter() - started_s
            if maker is not None:
                for number, pixels in enumerate(inputs, start):
                    made.run(classifier, maker.make(number, pixels))
            progress.update(len(batch))
    return Measured(
        names=tuple(photo.name for photo in photos),
        labels=np.array([photo.label for photo in photos]),
        kinds=np.array([photo.kind_or_label for photo in photos]),
        evidence=plain.evidence(),
        data=describe(photos, digests),
        photos_per_s=len(photos) / busy_s,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        augmented=maker.augmented(made.evidence()) if maker is not None else None,
    )


class _Rows:
    """The activations of photos, as they come."""

    def __init__(self) -> None:
        self._parts: list[Activations] = []
        self._soft: list[bool] = []

    def run(self, classifier: Classifier, inputs: Sequence[Pixels]) -> None:
        self._parts.append(classifier.run(np.concatenate(inputs)))
        self._soft += [is_soft(pixels[-1]) for pixels in inputs]

    def evidence(self) -> Evidence:
        logits, features = (
            np.concatenate([getattr(part, name) for part in self._parts]) for name in ("logits", "features")
        )
        return Evidence.of(Activations(logits, features), self._soft)


class _Augmenter:
    """Makes two soft augmentations and a pasted one of each photo, the same ones in every run."""

    def __init__(self, photos: Sequence[LabelledPhoto], preprocessing: Preprocessing) -> None:
        self._generator = np.random.default_rng(SEED)
        others = [photo for photo in photos if photo.label == NOT_CAT]
        chosen = self._generator.permutation(len(others))[:_BACKGROUNDS]
        self._backgrounds = [model_inputs(others[number].read(), preprocessing) for number in chosen]
        self._photo: list[int] = []
        self._augmentation: list[str] = []

    def make(self, number: int, inputs: Pixels) -> list[Pixels]:
        first, second = self._generator.permutation(len(SOFT_AUGMENTATIONS))[:2]
        background = self._backgrounds[self._generator.integers(len(self._backgrounds))]
        self._photo += 3 * [number]
        self._augmentation += [SOFT, SOFT, PASTED]
        return [
            soft(inputs, SOFT_AUGMENTATIONS[first], self._generator),
            soft(inputs, SOFT_AUGMENTATIONS[second], self._generator),
            pasted(background, inputs[-1], self._generator),
        ]

    def augmented(self, evidence: Evidence) -> Augmented:
        return Augmented(evidence, np.array(self._photo), np.array(self._augmentation))
