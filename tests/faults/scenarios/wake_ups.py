"""Every wake-up is delivered several times to several checkers that share one queue."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from catloader.checks.dispatch import post_wake_up
from catloader.demo.client import free_port
from catloader.store.s3.embedded import EmbeddedS3
from checker.ports import WAKE_UP_PATH
from tests.faults.harness.audit import Figures, audit, logged
from tests.faults.harness.client import Ledger, Person
from tests.faults.harness.stage import Stage
from tests.support.serving import plain_session

_NEVER_S = 3600
"""Interval of sweeps, so long that only wake-ups lead to verdicts."""
_LOAD_S = 120.0


def repeat_wake_ups(
    folder: Path, store: EmbeddedS3, *, photos: int, checkers: int, deliveries: int
) -> Figures:
    """Send each wake-up to each checker repeatedly while photos arrive."""
    figures, ledger = Figures(), Ledger()
    refused: set[str] = set()
    with Stage(folder, store, CATCHECK_SWEEP_S=_NEVER_S) as stage, stage.services() as services:
        stage.serve()
        addresses = []
        for _ in range(checkers):
            port = free_port()
            stage.environ |= {"CATCHECKER_PORT": str(port), "CATCHECK_WORKERS": "1"}
            stage.start("checker", "serve")
            addresses.append(f"http://127.0.0.1:{port}")
        for address in addresses:
            _wait_until_ready(address)
        person = Person(stage.url, ledger)

        def wake(address: str) -> None:
            with plain_session() as session:
                for _ in range(deliveries):
                    if failure := post_wake_up(session, address + WAKE_UP_PATH, services.signer):
                        refused.add(failure)

        with ThreadPoolExecutor(checkers) as threads:
            for _ in range(photos):
                person.upload_all(1)
                for address in addresses:
                    threads.submit(wake, address)
        figures.broken += sorted(refused)
        figures.counts = {"checkers": checkers, "deliveries of each wake-up": deliveries}
        audit(stage, ledger, figures)
        if (rows := logged(services.engine)) != photos:
            figures.broken.append(f"{rows} log rows for {photos} photos")
    return figures


def _wait_until_ready(address: str) -> None:
    end_s = time.monotonic() + _LOAD_S
    with plain_session() as session:
        while time.monotonic() < end_s:
            try:
                if session.get(address + "/readyz", timeout=10).ok:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
    raise AssertionError(f"the checker at {address} was not ready")
