"""Run a model on labelled photos once, and keep the activations in arrays."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from checker.evaluation.augment import AUGMENTATIONS, background_rows
from checker.evaluation.augment import augmented as augmentations
from checker.evaluation.photos import CAT, WILD_FELINE, LabelledPhoto, describe, naming, renditions_sha256
from checker.evaluation.progress import progress_bar
from checker.pixels.decode import model_inputs
from checker.ports import Classifier
from checker.upright import unrotated_evidence, upright_evidence
from checker.values import Evidence, Pixels, Rendition

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
    rotated: bool = True,
    progress: tqdm[Any] | None = None,
) -> Measured:
    """Run the model on the inputs of every photo.

    Args:
        progress: a bar that counts the photos of several calls; None: show a bar for this call.
        augmented: also measure two soft versions of each photo, and one in which it is pasted small into
            another photo.
        rotated: judge photos that seem turned in their most upright orientation, as checks do; False: as
            they are.
    Raises:
        UnusablePhotos: names a photo that can't be read.
    """
    digests: list[str] = []
    busy_s = 0.0
    plain, made = _Rows(classifier, rotated), _Rows(classifier, rotated)
    backgrounds = []
    if augmented:
        rows = background_rows([photo.label for photo in photos])
        backgrounds = [inputs_of(photos[row], classifier) for row in rows]
    bar = photo_bar(len(photos), classifier) if progress is None else contextlib.nullcontext(progress)
    with bar as counting:
        for start in range(0, len(photos), BATCH_PHOTOS):
            batch = photos[start : start + BATCH_PHOTOS]
            files = [photo.read() for photo in batch]
            digests += map(renditions_sha256, files)
            started_s = time.perf_counter()
            inputs = [_inputs(photo, file, classifier) for photo, file in zip(batch, files, strict=True)]
            plain.run(inputs)
            busy_s += time.perf_counter() - started_s
            if augmented:
                for row, pixels in enumerate(inputs, start):
                    made.run(augmentations(row, pixels, backgrounds))
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


def inputs_of(photo: LabelledPhoto, classifier: Classifier) -> Pixels:
    """Read and decode a photo: ``model_inputs``. Raises ``UnusablePhotos``, which names it."""
    return _inputs(photo, photo.read(), classifier)


def _inputs(photo: LabelledPhoto, files: Mapping[Rendition, bytes], classifier: Classifier) -> Pixels:
    with naming(photo.name):
        return model_inputs(files, classifier.preprocessing)


def _augmented(evidence: Evidence, photos: int) -> Augmented:
    return Augmented(
        evidence, np.repeat(np.arange(photos), len(AUGMENTATIONS)), np.array(photos * AUGMENTATIONS)
    )


class _Rows:
    """Collects the evidence of photos, batch by batch; ``rotated`` is as for ``measure``."""

    def __init__(self, classifier: Classifier, rotated: bool) -> None:
        self._classifier, self._rotated = classifier, rotated
        self._parts: list[Evidence] = []

    def run(self, inputs: Sequence[Pixels]) -> None:
        pixels = np.concatenate(inputs)
        activations = self._classifier.run(pixels)
        self._parts.append(
            upright_evidence(activations, pixels, self._classifier)
            if self._rotated
            else unrotated_evidence(activations, pixels)
        )

    def evidence(self) -> Evidence:
        parts = self._parts
        return Evidence(
            *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Evidence))
        )
