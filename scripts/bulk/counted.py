"""A driver of bulk runs, like ``catloader bulk run``, that counts the photos that its models classify.

usage: python -m scripts.bulk.counted PLAN ENGINE COUNT_FILE
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from pathlib import Path

from catloader.bulk.plan import Plan
from catloader.bulk.run import run
from catloader.cli.context import services_of
from catloader.settings import Settings
from catloader.wiring import load_model
from checker.pipeline import LoadedModel
from checker.ports import Classifier, DecisionRule
from checker.values import INPUTS_PER_PHOTO, Activations, Decision, Evidence, Pixels


class CountedClassifier:
    """A classifier that appends the number of photos to a file before the first forward pass of each batch.

    Photos that seem turned are classified again before the batch is decided; this is not counted. Several
    processes may share the file, and killing a process loses no count.
    """

    def __init__(self, classifier: Classifier, path: Path) -> None:
        self._classifier = classifier
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._batch = threading.local()
        self.model_info, self.preprocessing = classifier.model_info, classifier.preprocessing

    def run(self, batch: Pixels) -> Activations:
        if not getattr(self._batch, "is_counted", False):
            os.write(self._file, b"%d\n" % (len(batch) // INPUTS_PER_PHOTO))
            self._batch.is_counted = True
        try:
            return self._classifier.run(batch)
        except BaseException:
            self.end_batch()  # no decision will
            raise

    def end_batch(self) -> None:
        """Count the next photos of this thread."""
        self._batch.is_counted = False

    def close(self) -> None:
        os.close(self._file)
        self._classifier.close()


class _EndingRule:
    """A decision rule that ends the thread's batch of a ``CountedClassifier``."""

    def __init__(self, rule: DecisionRule, classifier: CountedClassifier) -> None:
        self._rule, self._classifier = rule, classifier

    def decide(self, evidence: Evidence) -> Decision:
        self._classifier.end_batch()
        return self._rule.decide(evidence)


def load_counted(path: Path, settings: Settings) -> LoadedModel:
    """Load the model; the photos of its self-test are not counted."""
    return counting(load_model(settings), path)


def counting(loaded: LoadedModel, path: Path) -> LoadedModel:
    """Count the photos that a model classifies in the file ``path``."""
    classifier = CountedClassifier(loaded.classifier, path)
    return LoadedModel(classifier, _EndingRule(loaded.rule, classifier))


def counted(path: Path) -> int:
    """Return the number of photos classified so far."""
    return sum(map(int, path.read_bytes().split())) if path.exists() else 0


def main(arguments: list[str]) -> None:
    folder, engine, path = arguments
    with services_of(Settings.from_environment()) as services:
        for _ in run(services, Plan(Path(folder)), engine, load=partial(load_counted, Path(path))):
            pass


if __name__ == "__main__":
    main(sys.argv[1:])
