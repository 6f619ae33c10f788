"""SIGTERM of the whole site under load: after the next start every acknowledged photo is there."""

from __future__ import annotations

import time
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit
from tests.faults.harness.client import Ledger, uploading, wait_for
from tests.faults.harness.stage import Stage
from tests.support.machine import busy_factor

_EXIT_S = 10.0


def terminate(folder: Path, store: EmbeddedS3, *, times: int) -> Figures:
    """Stop the site and its checker together; restart both."""
    figures, ledger = Figures(counts={"SIGTERM": times}), Ledger()
    slowest_s = 0.0
    with Stage(folder, store, CATCHECK_DISPATCH="thread") as stage:
        site = stage.serve()
        with uploading(stage.url, ledger):
            for _ in range(times):
                if not wait_for(ledger, 4):
                    figures.broken.append("no upload succeeds after a stop")
                    break
                begun_s = time.monotonic()
                site.terminate()
                code = site.wait(6 * _EXIT_S)
                slowest_s = max(slowest_s, time.monotonic() - begun_s)
                if code != 0:
                    figures.broken.append(f"exit code {code}")
                site = stage.serve()
        if slowest_s > _EXIT_S * busy_factor():
            figures.broken.append(f"a stop took {slowest_s:.1f} s")
        if others := {s for s in ledger.answers if s not in (0, 201, 503)}:
            figures.broken.append(f"other answers to uploads: {others}")
        return audit(stage, ledger, figures)
