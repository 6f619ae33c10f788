"""Metrics for Prometheus: one set for all web processes of a command.

Each process writes separate files in a shared folder; the process that gets the request adds them up. Figures
from the database (waiting photos) are queried for each request, so they cover all machines.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from catloader.metric_files import share_metrics
from models.temporary import temporary_folder

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SHORT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)


@contextlib.contextmanager
def metrics_folder(*, wanted: bool) -> Iterator[Path | None]:
    """Make the folder that the processes of a command share; None if metrics are disabled."""
    if not wanted:
        yield None
        return
    with temporary_folder("catloader-metrics-") as folder:
        yield folder


class Metrics:
    """Counts and times. Thread-safe; also usable in a forked process.

    Args:
        folder: from ``metrics_folder``; None: the numbers stay in this process and are not served.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        if folder is not None:
            share_metrics(str(folder))
        registry = CollectorRegistry()
        self.photos_checked = Counter(
            "catcheck_images", "Finished attempts to check a photo.", ("outcome", "model"), registry=registry
        )
        self.inference_s = Histogram(
            "catcheck_inference_seconds",
            "Forward pass of a micro-batch, once for each photo in it.",
            registry=registry,
            buckets=_SHORT_S,
        )
        self.queue_s = Histogram(
            "catcheck_queue_seconds",
            "From the moment a photo could be checked to its claim.",
            registry=registry,
            buckets=_LONG_S,
        )
        self.refusals = Counter(
            "catloader_refusals", "Files and requests that were refused.", ("reason",), registry=registry
        )
        self.http_s = Histogram(
            "catloader_http_request_seconds",
            "Duration of requests, from the start to the end of their view.",
            ("method", "endpoint", "status"),
            registry=registry,
            buckets=_SHORT_S,
        )
        self.s3_s = Histogram(
            "catloader_s3_request_seconds",
            "Duration of requests to the object store, including retries.",
            ("operation", "result"),
            registry=registry,
            buckets=_SHORT_S,
        )

    def refused(self, error: str) -> None:
        """Count a refusal under the name of its error's class."""
        self.refusals.labels(re.sub(r"(?<!^)(?=[A-Z])", "_", error).lower()).inc()

    @contextlib.contextmanager
    def s3_request(self, operation: str) -> Iterator[None]:
        """Measure the request to the object store in the block."""
        begun_s, result = time.monotonic(), "error"
        try:
            yield
            result = "ok"
        finally:
            self.s3_s.labels(operation, result).observe(time.monotonic() - begun_s)

    def as_text(
        self, photos: Mapping[str, int], oldest_pending_s: float, dead_rows: Mapping[str, int]
    ) -> bytes:
        """Return all processes' numbers in Prometheus' text format.

        Args:
            photos: number of photos of each status.
            oldest_pending_s: time for which the first photo of the queue has been due; 0: no photo is due.
            dead_rows: table -> rows that PostgreSQL has not cleaned yet.
        """
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=str(self._folder))  # type: ignore[no-untyped-call]
        registry.register(_OfThisMoment(photos, oldest_pending_s, dead_rows))
        return generate_latest(registry)


class _OfThisMoment(Collector):
    """Gauges with values from the database, which do not belong to one process."""

    def __init__(
        self, photos: Mapping[str, int], oldest_pending_s: float, dead_rows: Mapping[str, int]
    ) -> None:
        self._photos, self._oldest_pending_s, self._dead_rows = photos, oldest_pending_s, dead_rows

    def collect(self) -> Iterator[GaugeMetricFamily]:
        photos = GaugeMetricFamily("catcheck_photos", "Photos by status.", labels=["status"])
        for status, number in self._photos.items():
            photos.add_metric([status], number)
        yield photos
        yield GaugeMetricFamily(
            "catcheck_oldest_pending_seconds",
            "How long the first photo of the queue has been due.",
            value=self._oldest_pending_s,
        )
        dead = GaugeMetricFamily(
            "catloader_database_dead_rows", "Rows that PostgreSQL has not cleaned yet.", labels=["table"]
        )
        for table, number in self._dead_rows.items():
            dead.add_metric([table], number)
        yield dead
