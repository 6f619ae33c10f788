"""Upload hostile files to a running site while other people use it.

    python -m tests.faults.hostile_uploads [--mutants 10000] [--seed 0] [--attackers 4] [--json FILE]

Several accounts upload seeded mutations, all hostile files and all bombs at once. Meanwhile others keep
loading pages and uploading a good photo.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import requests
from sqlalchemy import func, select

from catloader.store.db.engine import make_engine, reading
from catloader.store.db.schema import photos
from tests.faults.memory import Meter
from tests.faults.mutations import Mutant, mutants
from tests.faults.overload import Uploader, share
from tests.faults.report import publish, start_of_run
from tests.support.bombs import SLOW, slow_tiff
from tests.support.environ import environ_without_settings
from tests.support.hostile import corpus, origins
from tests.support.hostile.drawing import encoded, photo
from tests.support.serving import Serving, plain_session, registered, serving

_WARM_UP = 200
_SETTLE_S = 5.0
"""Longer than an idle decoder keeps its memory (1 s)."""
_MOST_REFUSALS = 1000


@dataclass(frozen=True)
class Figures:
    """Results of the attackers and of the other people. Times are in seconds."""

    uploads: int
    stored: int
    refused: int
    """Uploads with a 4xx response that states a reason."""
    put_off: int
    """Uploads with the response 503 and ``Retry-After``, which were sent again."""
    other: dict[str, int]
    """Number of other responses by status. Status 0 means no response."""
    slowest_s: float
    slowest: str
    web_deaths: int
    pages: int
    page_p95_s: float
    good_photos: int
    good_photo_p95_s: float
    """From request to response, without the waits between retries."""
    others_failed: int
    left_objects: int
    """Objects beyond the two of each stored photo."""
    left_rows: int
    idle_before_bytes: int
    idle_after_bytes: int


def hostile_files(mutations: int, seed: int) -> Iterator[Mutant]:
    """Yield ``mutations`` mutants, and then all hostile files unchanged."""
    yield from mutants(mutations, seed)
    for origin in origins():
        yield from (Mutant(f"{origin}/{file.name}", file.data) for file in corpus(origin).files)
    yield from (Mutant(make.__name__, make()) for make in (*SLOW, slow_tiff))


class _Attack:
    """The files of the attackers and the responses to them."""

    def __init__(self, files: Iterator[Mutant]) -> None:
        self._files, self._lock = files, threading.Lock()
        self.answers: list[tuple[int, float, str]] = []
        self.put_off = 0

    def run(self, site: Serving, attackers: int) -> None:
        """Upload all files from ``attackers`` accounts at once."""
        sessions = [registered(site.url) for _ in range(attackers)]
        threads = [threading.Thread(target=self._upload, args=(site, session)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _upload(self, site: Serving, session: requests.Session) -> None:
        uploader = Uploader(site, b"", session)
        while True:
            with self._lock:
                mutant = next(self._files, None)
            if mutant is None:
                return
            status, took_s = self._send(uploader, mutant)
            self.answers.append((status, took_s, mutant.name))

    def _send(self, uploader: Uploader, mutant: Mutant) -> tuple[int, float]:
        for _ in range(_MOST_REFUSALS):
            status, took_s, _, retry_s = uploader.upload(mutant.data)
            if status != 503 or not retry_s:
                return status, took_s
            with self._lock:
                self.put_off += 1
            time.sleep(retry_s)
        raise AssertionError("every try was refused")


class _Others:
    """One person who reads pages, and one who uploads a good photo."""

    def __init__(self, site: Serving) -> None:
        self._site, self._over = site, threading.Event()
        self.pages: list[tuple[int, float]] = []
        self.photos: list[tuple[int, float]] = []
        self._threads = [threading.Thread(target=work) for work in (self._read, self._upload)]

    def __enter__(self) -> _Others:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        session = plain_session()
        session.cookies.update(registered(self._site.url).cookies)
        while not self._over.wait(0.1):
            begun_s = time.monotonic()
            status = session.get(self._site.url + "/photos", timeout=60).status_code
            self.pages.append((status, time.monotonic() - begun_s))

    def _upload(self) -> None:
        uploader = Uploader(self._site, encoded(photo(), "JPEG"), registered(self._site.url))
        pause_s = 0.0
        while not self._over.wait(pause_s):
            status, took_s, _, pause_s = uploader.upload()
            self.photos.append((status if status != 503 or pause_s else -503, took_s))
            pause_s = pause_s or 1.0


def measure(
    site: Serving, files: Iterator[Mutant], attackers: int, *, warm_up: int, settle_s: float = _SETTLE_S
) -> Figures:
    """Upload ``files``. The idle memory of the site is first measured after ``warm_up`` of them.

    Args:
        settle_s: the site is idle for this time before its memory is measured.
    """
    first = _Attack(islice(files, warm_up))
    first.run(site, attackers)
    meter = Meter(site.process.pid)
    before_bytes, web = _idle_bytes(meter, settle_s), {process.pid for process in site.web_processes()}
    attack = _Attack(files)
    with _Others(site) as others:
        attack.run(site, attackers)
    after_bytes = _idle_bytes(meter, settle_s)
    meter.close()
    answers = first.answers + attack.answers
    good = [took_s for status, took_s in others.photos if status == 201]
    stored = sum(status == 201 for status, *_ in answers)
    odd = Counter(status for status, *_ in answers if status != 201 and not 400 <= status < 500)
    objects, rows = _objects(site), _rows(site)
    _, slowest_s, slowest = max(attack.answers, key=lambda answer: answer[1])
    return Figures(
        uploads=len(answers),
        stored=stored,
        refused=len(answers) - stored - odd.total(),
        put_off=first.put_off + attack.put_off,
        other={str(status): number for status, number in odd.items()},
        slowest_s=round(slowest_s, 3),
        slowest=slowest,
        web_deaths=len(web - {process.pid for process in site.web_processes()}),
        pages=len(others.pages),
        page_p95_s=share([took_s for _, took_s in others.pages], 0.95),
        good_photos=len(good),
        good_photo_p95_s=share(good, 0.95),
        others_failed=sum(status != 200 for status, _ in others.pages)
        + sum(status not in (201, 503) for status, _ in others.photos),
        left_objects=objects - 2 * (stored + len(good)),
        left_rows=rows - stored - len(good),
        idle_before_bytes=before_bytes,
        idle_after_bytes=after_bytes,
    )


def _idle_bytes(meter: Meter, settle_s: float) -> int:
    time.sleep(settle_s)
    return meter.now_bytes()


def _objects(site: Serving) -> int:
    """Count the objects in the store, including orphans."""
    environment = environ_without_settings(CATLOADER_DATA_DIR=site.folder)
    report = subprocess.run(
        [sys.executable, "-m", "catloader", "gc", "--report", "--older-than", "0"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    number = re.match(r"(\d+) objects? in the object store\.", report)
    assert number, report
    return int(number[1])


def _rows(site: Serving) -> int:
    engine = make_engine(site.folder / "catloader.sqlite3")
    with reading(engine) as connection:
        rows = connection.execute(select(func.count()).select_from(photos)).scalar_one()
    engine.dispose()
    return int(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("mutants", 10_000), ("seed", 0), ("attackers", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    options = parser.parse_args()
    counts = {"mutants": options.mutants, "seed": options.seed, "attackers": options.attackers}
    run = start_of_run() | counts
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as site:
        files = hostile_files(options.mutants, options.seed)
        run |= asdict(measure(site, files, options.attackers, warm_up=_WARM_UP))
    publish(run, options.json)


if __name__ == "__main__":
    main()
