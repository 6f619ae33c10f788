"""During uploads and checks the object store is unreachable, silent, faulty or wrong for some time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from sqlalchemy import Engine, func, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import check_log, photos
from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import SETTLED_S, Figures, audit, logged, wait_until_checked
from tests.faults.harness.client import Ledger, Person, uploading, wait_for
from tests.faults.harness.faulty_store import FaultyStore, Mode
from tests.faults.harness.stage import Stage, kill
from tests.support.machine import busy_factor

MODES: tuple[Mode, ...] = ("refused", "silent", "errors", "cut", "altered")
_NO_ANSWER = ("refused", "silent")
_REFUSED_WITHIN_S = {"refused": 5.0, "silent": 15.0, "errors": 15.0}
_PAUSE_S = 0.2
"""Pause between two uploads of a user: a checker with a failing store checks fewer than 15 a second."""
_PAGE_P95_S = 0.5


def outage(folder: Path, store: EmbeddedS3, *, modes: Sequence[Mode], seconds: float) -> Figures:
    """Upload before, during and after each fault, which lasts ``seconds``, while a checker works."""
    figures, ledger = Figures(counts={f"seconds {mode}": round(seconds) for mode in modes}), Ledger()
    pages: list[float] = []
    proxy = FaultyStore(store.endpoint_url)
    with Stage(folder, store, endpoint_url=proxy.url) as stage, stage.services() as services:
        stage.serve()
        checker, busy = stage.start("worker"), busy_factor()
        with uploading(stage.url, ledger, pause_s=_PAUSE_S) as people:
            if not wait_for(ledger, 5):
                figures.broken.append("no upload succeeds before the first fault")
            _wait_for_first_verdict(services.engine)
            for mode in modes:
                with _watched(people[0], stage.url, pages):
                    refused, proxy.mode = ledger.answers[503], mode
                    if mode in _NO_ANSWER:  # a checker that starts now has to wait for the store
                        kill(checker)
                        checker = stage.start("worker")
                    time.sleep(seconds)
                    if not _is_noticed(proxy, mode, ledger, refused):
                        figures.broken.append(f"the store was {mode}, but no request was affected")
                    proxy.mode = "pass"
                if not wait_for(ledger, 5):
                    figures.broken.append(f"no upload succeeds after the store was {mode}")
        if (took_s := wait_until_checked(services.engine)) >= SETTLED_S:
            figures.broken.append(f"the queue was not empty after {took_s:.0f} s")
        _judge(figures, ledger, pages, modes, 1.5 * max(busy, busy_factor()))
        if unreadable := _blamed(services.engine):
            figures.broken.append(f"{unreadable} attempts called a photo unreadable")
        if judged := _judged_wrong_bytes(services.engine):
            figures.broken.append(f"{judged} verdicts on other bytes than were stored")
        audit(stage, ledger, figures)
    proxy.close()
    return figures


def _wait_for_first_verdict(engine: Engine) -> None:
    end_s = time.monotonic() + SETTLED_S
    while not logged(engine) and time.monotonic() < end_s:
        time.sleep(0.05)


def _is_noticed(proxy: FaultyStore, mode: Mode, ledger: Ledger, refused: int) -> bool:
    """Wait until a request was affected by the fault. A closed port is noticed by a refused upload."""
    end_s = time.monotonic() + SETTLED_S
    while time.monotonic() < end_s:
        if proxy.spoiled[mode] or (mode == "refused" and ledger.answers[503] > refused):
            return True
        time.sleep(0.05)
    return False


@contextmanager
def _watched(person: Person, url: str, pages: list[float]) -> Iterator[None]:
    """Load a page repeatedly during the block; append the times to ``pages``."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            begun_s = time.monotonic()
            try:
                ok = person.session.get(url + "/photos", timeout=60).ok
            except requests.RequestException:
                ok = False
            pages.append(time.monotonic() - begun_s if ok else 60.0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _judge(figures: Figures, ledger: Ledger, pages: list[float], modes: Sequence[Mode], busy: float) -> None:
    """Compare responses and times with the promises; time limits are multiplied by ``busy``."""
    figures.counts["refused"] = ledger.answers[503]
    if wrong := {status: count for status, count in ledger.answers.items() if status not in (201, 503)}:
        figures.broken.append(f"other answers to uploads: {wrong}")
    most_s = max(_REFUSED_WITHIN_S.get(mode, 5.0) for mode in modes) * busy
    if ledger.slowest_refusal_s > most_s:
        figures.broken.append(f"an upload was refused after {ledger.slowest_refusal_s:.1f} s")
    p95_s = sorted(pages)[int(0.95 * (len(pages) - 1))]
    if p95_s > _PAGE_P95_S * busy:
        figures.broken.append(f"pages took {p95_s:.2f} s (p95)")


def _blamed(engine: Engine) -> int:
    unreadable = select(func.count()).where(check_log.c.verdict == "unreadable").select_from(check_log)
    with reading(engine) as connection:
        return connection.execute(unreadable).scalar_one()


def _judged_wrong_bytes(engine: Engine) -> int:
    joined = check_log.join(photos, photos.c.id == check_log.c.photo_id)
    wrong = (check_log.c.photo_sha256 != photos.c.sha256) & check_log.c.verdict.is_not(None)
    with reading(engine) as connection:
        return connection.execute(select(func.count()).where(wrong).select_from(joined)).scalar_one()
