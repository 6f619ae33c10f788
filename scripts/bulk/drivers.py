"""Drivers of bulk runs in separate processes, and measurements of their rate, memory and first unit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from catloader.bulk.plan import Plan
from catloader.settings import Settings
from scripts.bulk.requests import CountedRequests

LONGEST_S = 1800
_ROOT = Path(__file__).resolve().parents[2]


def start(
    settings: Settings, plan: Plan, engine: str, *, s3_url: str = "", count_file: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start ``catloader bulk run``, or, with ``count_file``, a driver that counts the classified photos."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(_ROOT),
        "CATLOADER_DATA_DIR": str(settings.data_dir),
        "AWS_ENDPOINT_URL_S3": s3_url or settings.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key.get_secret_value(),
        "CATLOADER_MIN_FREE_BYTES": "0",
        "CATCHECK_WORKERS": str(settings.workers),
    }
    words = ["catloader", "bulk", "run", str(plan.folder), "--engine", engine]
    if count_file:
        words = ["scripts.bulk.counted", str(plan.folder), engine, str(count_file)]
    return subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a run.

    Raises:
        RuntimeError: the run failed.
    """
    if process.wait(LONGEST_S):
        raise RuntimeError(f"a driver failed: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]


def rate(settings: Settings, plan: Plan, engine: str) -> float:
    """Return photos per second from the first to the last unit, without the start of Ray and the model."""
    end(start(settings, plan, engine))
    times_s = sorted(path.stat().st_mtime for path in (plan.folder / "results").glob("*/*.parquet"))
    return round((len(times_s) - 1) * plan.facts.unit_rows / (times_s[-1] - times_s[0]), 1)


def watch(settings: Settings, plan: Plan, engine: str, seconds: int) -> dict[str, Any]:
    """Watch the driver of a large plan for some time, count its requests to S3, and cancel it."""
    with CountedRequests(settings.s3_endpoint_url).running() as requests:
        started_s, first_s, most_bytes = time.monotonic(), 0.0, 0
        process = start(settings, plan, engine, s3_url=requests.url)
        driver = psutil.Process(process.pid)
        while not first_s or time.monotonic() - started_s < first_s + seconds:
            if process.poll() is not None or time.monotonic() - started_s > LONGEST_S:
                raise RuntimeError(f"`bulk run --engine {engine}` ended early.")
            memory = driver.memory_info()
            # Excludes the object store that Ray shares with its workers.
            most_bytes = max(most_bytes, memory.rss - getattr(memory, "shared", 0))
            first_s = first_s or (time.monotonic() - started_s if plan.done() else 0.0)
            time.sleep(0.1)
        plan.cancel()
        process.wait(LONGEST_S)
    return {
        "photos": plan.facts.photos,
        "first_unit_s": round(first_s, 1),
        "driver_mb": round(most_bytes / 1e6, 1),
        "watched_s": seconds,
        "requests": dict(requests.counts),
    }
