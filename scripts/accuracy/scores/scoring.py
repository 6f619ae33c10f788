"""Score labelled photos with one variant: read the scores from the cache, or measure them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from checker.decision.operating_point import ThresholdRule, Thresholds
from checker.decision.profile import Profile, ProfileKey, find_profile
from checker.decision.subject import Subject
from checker.evaluation.examples import Examples
from checker.evaluation.measure import Measured, measure, photo_bar
from checker.evaluation.photos import LabelledPhoto, renditions_sha256
from checker.evaluation.statistics import Doubles
from checker.pixels.facts import Facts, facts_of
from checker.ports import Classifier
from checker.values import ModelInfo, Rendition
from models.catalogue import class_names
from scripts.accuracy.scores.cache import ScoreCache
from scripts.accuracy.scores.held_out import held_out_scores, joined
from scripts.accuracy.scores.scores import PhotoScore, Scores, described, labels_and_kinds

CHUNK_PHOTOS = 32
"""Number of photos between two writes to the cache: a killed run loses the work of seconds."""


@dataclass(slots=True)
class _Reading:
    """Reads a photo, and keeps the digest of its renditions and its facts."""

    photo: LabelledPhoto
    sha256: str = ""
    facts: Facts | None = None

    def read(self) -> Mapping[Rendition, bytes]:
        files = self.photo.read()
        self.sha256 = renditions_sha256(files)
        self.facts = facts_of(files[Rendition.PHOTO])
        return files


@dataclass(slots=True)
class Scorer:
    """One loaded variant with its profile, and its measurements so far."""

    classifier: Classifier
    subject: Subject
    profile_folders: Sequence[Path]
    cache_folder: Path
    resume: bool
    """Use cached scores."""
    profile: Profile | None = field(init=False)
    cache: ScoreCache = field(init=False)
    _measured: list[tuple[int, float, int]] = field(default_factory=list)
    """Number of photos, photos per second, and peak memory in bytes, of each chunk."""

    def __post_init__(self) -> None:
        info = self.info
        preprocessing = self.classifier.preprocessing
        key = ProfileKey.of(info, preprocessing, self.subject)
        self.profile = find_profile(key, self.profile_folders)
        self.cache = ScoreCache(self.cache_folder, info, preprocessing, self.profile, self.subject)

    @property
    def info(self) -> ModelInfo:
        return self.classifier.model_info

    def score(self, photos: Sequence[LabelledPhoto]) -> Scores:
        """Score the photos; new scores are added to the cache.

        Raises:
            UnusablePhotos: names a photo that can't be read.
        """
        self._measured.clear()
        known = {i: score for i, photo in enumerate(photos) if (score := self._cached(photo)) is not None}
        missing = [i for i in range(len(photos)) if i not in known]
        parts = []
        with photo_bar(len(missing), self.classifier) if missing else nullcontext() as progress:
            for start in range(0, len(missing), CHUNK_PHOTOS):
                chunk = missing[start : start + CHUNK_PHOTOS]
                scores, measured = self._measure([photos[i] for i in chunk], progress)
                known.update(zip(chunk, scores, strict=True))
                if self._may_be_fitted_on(photos):  # otherwise the activations are not needed any more
                    parts.append(measured)
        rows = [known[i] for i in range(len(photos))]
        data = described(photos, rows)
        labels, kinds = labels_and_kinds(photos)
        held_out = self._held_out(photos, parts, data["sha256"])
        busy_s = sum(n / rate for n, rate, _ in self._measured)
        return Scores(
            names=[photo.name for photo in photos],
            labels=labels,
            kinds=kinds,
            rows=rows,
            data=data,
            model_info=self.info,
            profile=self.profile,
            held_out=held_out,
            photos_per_s=sum(n for n, _, _ in self._measured) / busy_s if busy_s else None,
            peak_bytes=max((peak for _, _, peak in self._measured), default=0),
        )

    def _cached(self, photo: LabelledPhoto) -> PhotoScore | None:
        return self.cache.get(photo.digest()) if self.resume else None

    def _measure(
        self, photos: Sequence[LabelledPhoto], progress: tqdm[Any] | None = None
    ) -> tuple[list[PhotoScore], Measured]:
        readings = [_Reading(photo) for photo in photos]
        reading = [replace(photo, read=one.read) for photo, one in zip(photos, readings, strict=True)]
        measured = measure(reading, self.classifier, progress=progress)
        rule = without_thresholds(self.subject, self.profile)
        scores = []
        for i, one in enumerate(readings):
            assert one.facts is not None, "measure() reads every photo"
            evidence = measured.evidence[i]
            scores.append(
                PhotoScore.of(
                    rule.decide(evidence),
                    soft=bool(evidence.soft),
                    renditions_sha256=one.sha256,
                    facts=one.facts,
                )
            )
        self.cache.add({photo.digest(): score for photo, score in zip(photos, scores, strict=True)})
        self._measured.append((len(photos), measured.photos_per_s, measured.peak_bytes))
        return scores, measured

    def _may_be_fitted_on(self, photos: Sequence[LabelledPhoto]) -> bool:
        counts = Counter(photo.label for photo in photos)
        return self.profile is not None and self.profile.made.get("data", {}).get("counts") == dict(counts)

    def _held_out(
        self, photos: Sequence[LabelledPhoto], parts: Sequence[Measured], data_sha256: str
    ) -> Doubles | None:
        if self.profile is None or not was_fitted_on(self.profile, data_sha256):
            return None
        cached = self.cache.held_out(data_sha256) if self.resume else None
        if cached is not None:
            return cached
        if sum(len(part.names) for part in parts) < len(photos):  # cached scores have no activations
            parts = [self._measure(photos)[1]]
        scores = held_out_scores(Examples.of(self.subject, joined(parts)), self.profile.made["fit"])
        self.cache.add_held_out(data_sha256, [float(score) for score in scores])
        return np.asarray(scores)


def without_thresholds(subject: Subject, profile: Profile | None) -> ThresholdRule:
    """Return a rule that calls every photo a cat, except those that are not a cat at any score."""
    rule = ThresholdRule(subject, class_names(), profile=profile, max_fpr=1, max_fnr=1)
    return rule.with_thresholds(Thresholds(*[0.0] * len(fields(Thresholds))))


def was_fitted_on(profile: Profile, data_sha256: str) -> bool:
    """Return True if a profile was fitted on this set of photos."""
    return bool(profile.made.get("data", {}).get("sha256") == data_sha256)
