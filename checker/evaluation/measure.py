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

from checker.evaluation.photos import CAT, WILD_FELINE, LabelledPhoto, describe, naming
from checker.evaluation.progress import progress_bar
from checker.pixels.crop import preprocessing_of
from checker.pixels.decode import decode
from checker.ports import Classifier
from checker.values import Activations, Evidence, Pixels, Rendition

BATCH_PHOTOS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Row i of every array is photo i."""

    names: tuple[str, ...]
    labels: npt.NDArray[np.str_]
    evidence: Evidence
    data: dict[str, Any]
    """Counts and digest."""
    photos_per_s: float
    """Decode and forward of both renditions, one thread; files are read before."""
    peak_bytes: int
    """Resident memory of this process so far."""

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Shape ``(n,)``."""
        return np.asarray(self.labels == CAT)

    @property
    def wild(self) -> npt.NDArray[np.bool_]:
        """Shape ``(n,)``."""
        return np.asarray(self.labels == WILD_FELINE)


def measure(photos: Sequence[LabelledPhoto], classifier: Classifier) -> Measured:
    """Run the model on both renditions of every photo.

    Raises:
        UnusablePhotos: names a photo that can't be read.
    """
    digests: list[str] = []
    busy_s = 0.0
    parts: list[Activations] = []
    info = classifier.model_info
    with progress_bar(len(photos), f"{info.model}, {info.runtime} {info.precision}", "photos") as progress:
        for start in range(0, len(photos), BATCH_PHOTOS):
            batch = photos[start : start + BATCH_PHOTOS]
            files = [photo.read() for photo in batch]
            digests += [
                hashlib.sha256(b"".join(file[one] for one in Rendition)).hexdigest() for file in files
            ]
            started_s = time.perf_counter()
            pixels: list[Pixels] = []
            for photo, file in zip(batch, files, strict=True):
                with naming(photo.name):
                    pixels += [
                        decode(file[rendition], preprocessing_of(rendition, classifier.preprocessing))
                        for rendition in Rendition
                    ]
            parts.append(classifier.run(np.stack(pixels)))
            busy_s += time.perf_counter() - started_s
            progress.update(len(batch))
    activations = Activations(
        np.concatenate([part.logits for part in parts]), np.concatenate([part.features for part in parts])
    )
    return Measured(
        names=tuple(photo.name for photo in photos),
        labels=np.array([photo.label for photo in photos]),
        evidence=Evidence.of_pairs(activations),
        data=describe(photos, digests),
        photos_per_s=len(photos) / busy_s,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
