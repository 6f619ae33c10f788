"""Run a model on labelled photos once, and keep the activations in arrays."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from checker.evaluation.augment import AUGMENTATIONS, background_rows
from checker.evaluation.augment import augmented as augmentations
from checker.evaluation.photos import CAT, WILD_FELINE, LabelledPhoto, describe, naming, renditions_sha256
from checker.evaluation.progress import progress_bar
from checker.pixels.decode import model_inputs
from checker.pixels.detail import detail_of
from checker.ports import Classifier
from checker.values import Activations, Detail, Evidence, Pixels, Rendition

BATCH_PHOTOS = 4
Strings = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Augmented:
    """Augmented photos, made for calibration. Row i of every array is augmentation i."""

    evidence: Evidence
    photo: npt.NDArray[np.int64]
    """Row of the photo that the augmentation is made from."""
    augmentation: Strings
    """``SOFT`` or ``PASTED``."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The measurements of labelled photos. Row i of every array is photo i."""

    names: tuple[str, ...]
    labels: Strings
    kinds: Strings
    """``LabelledPhoto.kind_or_label``."""
    evidence: Evidence
    data: dict[str, Any]
    """Counts and digest."""
    photos_per_s: float
    """Rate of decoding and forward passes in one thread, without reading files and without augmentations."""
    peak_bytes: int
    """Highest resident memory of this process so far."""
    augmented: Augmented | None = None

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """True for photos labelled ``cat``, ``(n,)``."""
        return np.asarray(self.labels == CAT)

    @property
    def wild(self) -> npt.NDArray[np.bool_]:
        """True for photos labelled ``wild_feline``, ``(n,)``."""
        return np.asarray(self.labels == WILD_FELINE)


def measure(
    photos: Sequence[LabelledPhoto],
    classifier: Classifier,
    *,
    augmented: bool = False,
    progress: tqdm[Any] | None = None,
) -> Measured:
    """Run the model on the inputs of every photo.

    Args:
        progress: a bar that counts the photos of several calls; None: show a bar for this call.
        augmented: also measure two soft versions of each photo, and one in which it is pasted small into
            another photo.
    Raises:
        UnusablePhotos: names a photo that can't be read.
    """
    digests: list[str] = []
    busy_s = 0.0
    plain, made = _Rows(), _Rows()
    backgrounds = []
    if augmented:
        rows = background_rows([photo.label for photo in photos])
        backgrounds = [_inputs(photos[row], photos[row].read(), classifier) for row in rows]
    bar = photo_bar(len(photos), classifier) if progress is None else contextlib.nullcontext(progress)
    with bar as counting:
        for start in range(0, len(photos), BATCH_PHOTOS):
            batch = photos[start : start + BATCH_PHOTOS]
            files = [photo.read() for photo in batch]
            digests += map(renditions_sha256, files)
            started_s = time.perf_counter()
            inputs = [_inputs(photo, file, classifier) for photo, file in zip(batch, files, strict=True)]
            plain.run(classifier, inputs)
            busy_s += time.perf_counter() - started_s
            if augmented:
                for row, pixels in enumerate(inputs, start):
                    made.run(classifier, augmentations(row, pixels, backgrounds))
            counting.update(len(batch))
    return Measured(
        names=tuple(photo.name for photo in photos),
        labels=np.array([photo.label for photo in photos]),
        kinds=np.array([photo.kind_or_label for photo in photos]),
        evidence=plain.evidence(),
        data=describe(photos, digests),
        photos_per_s=len(photos) / busy_s,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        augmented=_augmented(made.evidence(), len(photos)) if augmented else None,
    )


def photo_bar(photos: int, classifier: Classifier) -> tqdm[Any]:
    """Return a bar for ``measure``."""
    info = classifier.model_info
    return progress_bar(photos, f"{info.model}, {info.runtime} {info.precision}", "photos")


def _inputs(photo: LabelledPhoto, files: Mapping[Rendition, bytes], classifier: Classifier) -> Pixels:
    with naming(photo.name):
        return model_inputs(files, classifier.preprocessing)


def _augmented(evidence: Evidence, photos: int) -> Augmented:
    return Augmented(
        evidence, np.repeat(np.arange(photos), len(AUGMENTATIONS)), np.array(photos * AUGMENTATIONS)
    )


class _Rows:
    """Collects the activations of photos, batch by batch."""

    def __init__(self) -> None:
        self._parts: list[Activations] = []
        self._details: list[Detail] = []

    def run(self, classifier: Classifier, inputs: Sequence[Pixels]) -> None:
        self._parts.append(classifier.run(np.concatenate(inputs)))
        self._details += [detail_of(pixels[-1]) for pixels in inputs]

    def evidence(self) -> Evidence:
        logits, features = (
            np.concatenate([getattr(part, name) for part in self._parts]) for name in ("logits", "features")
        )
        return Evidence.of(Activations(logits, features), self._details)
