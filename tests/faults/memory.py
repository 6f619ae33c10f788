"""Measure the memory of a site while 24-megapixel photos are uploaded, eight at a time, format by format.

    python -m tests.faults.memory [FORMAT ...] [--json FILE]

Starts a site and a worker that checks its photos. The memory of each is the sum of the proportional set sizes
(PSS) of all its processes: supervisor, web process and decoders; worker and decoders.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pillow_heif
import psutil
from PIL import Image

from catloader.demo.client import Visitor, free_port
from catloader.errors import CatLoaderError
from scripts.benchmark_idle import pss_bytes
from tests.faults.report import publish, start_of_run
from tests.support.processes import end

_SIZE_PX = (6000, 4000)
_TOGETHER = 8
_SETTLE_S = 5.0
FORMATS = ("JPEG", "PROGRESSIVE", "PNG", "RGBA", "HEIC", "AVIF", "WEBP", "TIFF")


def photo(format: str) -> bytes:
    """Encode a photo of 24 megapixels with some detail, smaller than the site's limit of 25 MB."""
    coarse = np.random.default_rng(1).integers(0, 256, (_SIZE_PX[1] // 40, _SIZE_PX[0] // 40, 3), np.uint8)
    image = Image.fromarray(coarse).resize(_SIZE_PX, Image.Resampling.NEAREST)
    out = io.BytesIO()
    match format:
        case "HEIC":
            pillow_heif.from_pillow(image).save(out, quality=50)
        case "RGBA":
            image.putalpha(128)
            image.save(out, "PNG", compress_level=1)
        case "PROGRESSIVE":
            image.save(out, "JPEG", progressive=True)
        case "AVIF":
            image.save(out, "AVIF", speed=10)
        case "TIFF":
            image.save(out, "TIFF", compression="tiff_deflate")
        case _:
            image.save(out, format)
    return out.getvalue()


class Meter:
    """Continuously measures the memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.highest_bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def now_bytes(self) -> int:
        """Return the memory of all processes except the object store."""
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                if process.name() != "weed":
                    total += pss_bytes(process.pid)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                continue
        return total

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            self.highest_bytes = max(self.highest_bytes, self.now_bytes())


@contextmanager
def site() -> Iterator[tuple[int, int, str]]:
    """Run a site and a worker; yield both process ids and the site's address."""
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        port = free_port()
        environ = {
            **os.environ,
            "CATLOADER_DATA_DIR": folder,
            "CATLOADER_PORT": str(port),
            "CATCHECK_DISPATCH": "off",
            "DATABASE_URL": "",
            "CATLOADER_REGISTER_RATE": "1000 per minute",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "catloader", command],
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for command in ("serve", "worker")
        ]
        try:
            serving, working = processes
            yield serving.pid, working.pid, f"http://127.0.0.1:{port}"
        finally:
            for process in reversed(processes):
                end(process)


def upload(visitor: Visitor, data: bytes) -> int:
    """Upload until the site has a free place; return the number of refusals."""
    for refusals in range(1000):
        try:
            visitor.upload("photo", data)
        except CatLoaderError as error:
            if "HTTP 503" not in str(error):
                raise
            time.sleep(0.2)
        else:
            return refusals
    raise AssertionError("every try was refused")


@dataclass(frozen=True)
class Figures:
    """Memory during and after the uploads of one format."""

    file_bytes: int
    idle_bytes: int
    highest_bytes: int
    after_bytes: int
    worker_highest_bytes: int
    seconds: float
    refused: int
    """Number of refused uploads, which were tried again."""


def measure(pid: int, worker_pid: int, visitors: Sequence[Visitor], data: bytes) -> Figures:
    """Let all visitors upload ``data`` at the same time, and measure memory."""
    meter, of_worker = Meter(pid), Meter(worker_pid)
    idle_bytes, began_s = meter.now_bytes(), time.monotonic()
    with ThreadPoolExecutor(len(visitors)) as threads:
        refused = sum(threads.map(upload, visitors, [data] * len(visitors)))
    seconds = round(time.monotonic() - began_s, 1)
    time.sleep(_SETTLE_S)
    after_bytes = meter.now_bytes()
    meter.close()
    of_worker.close()
    highest = meter.highest_bytes, of_worker.highest_bytes
    return Figures(len(data), idle_bytes, highest[0], after_bytes, highest[1], seconds, refused)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", choices=("ALL", *FORMATS), default="ALL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    options = parser.parse_args()
    formats = FORMATS if "ALL" in options.formats else options.formats
    run = start_of_run()
    with site() as (pid, worker_pid, url):
        visitors = [Visitor(url) for _ in range(_TOGETHER)]
        for number, visitor in enumerate(visitors):
            visitor.wait_until_ready()
            visitor.register(f"visitor{number}@example.org")
        upload(visitors[0], photo("JPEG"))
        time.sleep(_SETTLE_S)
        run["formats"] = {name: asdict(measure(pid, worker_pid, visitors, photo(name))) for name in formats}
    publish(run, options.json)


if __name__ == "__main__":
    main()
