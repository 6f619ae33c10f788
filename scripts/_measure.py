"""What a network says of labelled photos, measured once and kept in arrays."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.pixels.crop import preprocessing_of
from checker.pixels.decode import decode
from checker.ports import Classifier
from checker.values import Activations, Evidence, Floats, ModelInfo, Pixels, Rendition
from scripts._photos import CAT, WILD_FELINE, LabelledPhoto, describe, named

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
    """Decode and forward of both views, one thread; files are read before."""
    peak_bytes: int
    """Resident memory of this process so far."""

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Shape ``(n,)``."""
        return np.asarray(self.labels == CAT)

    @property
    def wild(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.labels == WILD_FELINE)


def measure(photos: Sequence[LabelledPhoto], classifier: Classifier) -> Measured:
    """
    Raises:
        NoData: a photo that can't be read, by name.
    """
    sha256: list[str] = []
    busy_s = 0.0
    parts: list[tuple[Floats, Floats]] = []
    with _progress(classifier.model_info, len(photos)) as tell:
        for start in range(0, len(photos), BATCH_PHOTOS):
            batch = photos[start : start + BATCH_PHOTOS]
            pictures = [photo.read() for photo in batch]
            sha256 += [hashlib.sha256(both.photo + both.thumbnail).hexdigest() for both in pictures]
            started_s = time.perf_counter()
            pixels: list[Pixels] = []
            for photo, both in zip(batch, pictures, strict=True):
                for view, data in ((Rendition.PHOTO, both.photo), (Rendition.THUMBNAIL, both.thumbnail)):
                    with named(photo.name):
                        pixels.append(decode(data, preprocessing_of(view, classifier.preprocessing)))
            activations = classifier.run(np.stack(pixels))
            busy_s += time.perf_counter() - started_s
            parts.append((activations.logits, activations.features))
            tell(start + len(batch))
    logits, features = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Measured(
        names=tuple(photo.name for photo in photos),
        labels=np.array([photo.label for photo in photos]),
        evidence=Evidence.of_pairs(Activations(logits, features)),
        data=describe(photos, sha256),
        photos_per_s=len(photos) / busy_s,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


@contextmanager
def _progress(model_info: ModelInfo, photos: int) -> Iterator[Callable[[int], None]]:
    """On stderr: a terminal gets a line that counts, a log one line for each network."""
    what = f"{model_info.model}, {model_info.runtime} {model_info.precision}"
    if not sys.stderr.isatty():
        print(f"{what}: {photos} photos", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    try:
        yield lambda done: print(f"\r{what}: {done}/{photos}", end="", file=sys.stderr, flush=True)
    finally:
        print(file=sys.stderr)  # what went wrong gets a line of its own
