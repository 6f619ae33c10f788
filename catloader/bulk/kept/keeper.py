"""Measures labelled photos during a run, exactly as ``checker.evaluation.measure`` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from catloader.bulk.kept.keep import Task
from catloader.bulk.manifest import PlannedPhoto
from catloader.checks.past_photos import claim_on
from checker.decision.head import Doubles, log_odds
from checker.errors import CheckerError, DecodingFailed
from checker.evaluation.augment import augmented
from checker.evaluation.examples import Flags
from checker.evaluation.photos import naming, renditions_sha256
from checker.pipeline import fetch
from checker.pixels.facts import Facts
from checker.pixels.isolated import IsolatedDecoder
from checker.ports import Classifier, DecisionRule, ImageSource
from checker.upright import upright_evidence
from checker.values import Decision, Evidence, Floats, Pixels, Rendition


class Contents(NamedTuple):
    """The kept facts of the files of a photo."""

    renditions_sha256: str
    facts: Facts


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The kept data of a photo.

    It has E examples, the photo and, if the plan has them, its augmentations; W windows; D features.
    """

    contents: Contents
    decoder: str
    """As in ``Preprocessing``."""
    soft: Flags
    """Shape ``(E,)``."""
    drawn: Flags
    """Shape ``(1,)``: for the photo alone."""
    odds: Doubles
    """Shape ``(E, inputs, W)``."""
    logits: Floats
    """Shape ``(inputs, W, 1000)``: for the photo alone."""
    features: Floats
    """Shape ``(E, inputs, W, D)``."""


class Keeper:
    """Measures the photos of one process. Thread-safe.

    Memory: the model inputs of at most 64 photos that others are pasted into, 29 MB at 224 px.
    """

    def __init__(
        self, task: Task, source: ImageSource, decode: IsolatedDecoder, classifier: Classifier
    ) -> None:
        """Read the photos that others are pasted into.

        Raises:
            CheckerError: one of these photos can't be read.
        """
        self._subject, self._decode, self._classifier = task.keep.subject, decode, classifier
        self._backgrounds = [self._inputs(photo, source) for photo in task.backgrounds]

    def contents(self, renditions: Mapping[Rendition, bytes]) -> Contents:
        """Return the facts to keep of a photo's files.

        Raises:
            CheckerError: the files can't be decoded, or the decoders failed.
        """
        photo = renditions[Rendition.PHOTO]
        try:
            facts = self._decode.facts(photo)
        except DecodingFailed:  # a busy machine may have been the cause
            facts = self._decode.facts(photo)
        return Contents(renditions_sha256(renditions), facts)

    def keep(self, row: int, contents: Contents, inputs: Pixels, evidence: Evidence) -> Kept:
        """Measure the augmentations of a classified photo; return the data to keep of all its examples.

        Args:
            row: number of the photo in the plan.

        Raises:
            CheckerError: the model or its device failed.
        """
        alone = Evidence(*(np.expand_dims(getattr(evidence, field.name), 0) for field in fields(evidence)))
        examples = [alone]
        if self._backgrounds:
            made = augmented(row, inputs, self._backgrounds)
            pixels = np.concatenate(made)
            examples.append(upright_evidence(self._classifier.run(pixels), pixels, self._classifier))
        return Kept(
            contents,
            self._classifier.preprocessing.decoder,
            np.concatenate([part.soft for part in examples]),
            alone.drawn,
            np.concatenate([log_odds(part.logits, self._subject) for part in examples]),
            evidence.logits,
            np.concatenate([part.features for part in examples]),
        )

    def _inputs(self, photo: PlannedPhoto, source: ImageSource) -> Pixels:
        assert photo.labelled is not None, "plans of labelled photos alone have backgrounds"
        with naming(photo.labelled.name):
            (item,) = fetch([claim_on(photo)], source)
            if item.error is not None:
                raise item.error
            (pixels,) = self._decode([item.renditions], self._classifier.preprocessing)
            if isinstance(pixels, DecodingFailed):  # as in contents()
                (pixels,) = self._decode([item.renditions], self._classifier.preprocessing)
            if isinstance(pixels, CheckerError):
                raise pixels
        return pixels


class Recorder:
    """Implements ``checker.ports.DecisionRule``: keeps the evidence of each decision, in their order."""

    def __init__(self, rule: DecisionRule) -> None:
        self._rule = rule
        self.evidence: list[Evidence] = []

    def decide(self, evidence: Evidence) -> Decision:
        decision = self._rule.decide(evidence)
        self.evidence.append(evidence)
        return decision
