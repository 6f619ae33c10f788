"""The metrics that a checker's queue writes."""

from __future__ import annotations

import pytest
from prometheus_client import Histogram

from catloader.checks.measured_queue import MeasuredQueue
from catloader.metrics import Metrics
from checker.testing import InMemoryCheckQueue
from checker.values import Outcome


@pytest.mark.parametrize(
    ("unreadable", "retryable", "name"),
    [(True, False, "unreadable"), (True, True, "error"), (False, True, "error")],
)
def test_an_attempt_that_may_be_repeated_counts_as_an_error(
    unreadable: bool, retryable: bool, name: str
) -> None:
    metrics, photos = Metrics(), InMemoryCheckQueue()
    photos.add(1, "photo.jpg", "thumbnail.jpg")
    queue = MeasuredQueue(photos, metrics)
    (claim,) = queue.claim(1)
    ms = {"decode": 1000.0, "classify": 250.0}
    outcome = Outcome(claim, error="It can't be decoded.", unreadable=unreadable, retryable=retryable, ms=ms)
    assert [queue.finish([outcome]) for _ in range(2)] == [[True], [False]]
    (family,) = metrics.photos_checked.collect()
    totals = [sample for sample in family.samples if sample.name.endswith("_total")]
    assert [(sample.labels["outcome"], sample.value) for sample in totals] == [(name, 1)]
    assert (_of(metrics.inference_s, "_count"), _of(metrics.inference_s, "_sum")) == (1, 0.25)
    assert _of(metrics.queue_s, "_count") == 1


def _of(histogram: Histogram, name: str) -> float:
    (family,) = histogram.collect()
    (value,) = (sample.value for sample in family.samples if sample.name.endswith(name))
    return value
