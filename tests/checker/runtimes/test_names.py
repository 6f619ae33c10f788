from __future__ import annotations

from checker.runtimes.names import PRECISIONS, RUNTIME_PRECISIONS, RUNTIMES
from checker.runtimes.selection import variants


def test_every_runtime_and_precision_in_the_settings_can_run() -> None:
    assert set(RUNTIMES) == {"auto", *RUNTIME_PRECISIONS}
    assert set(PRECISIONS) == {"auto"}.union(*RUNTIME_PRECISIONS.values())


def test_selection_knows_only_variants_that_exist() -> None:
    for runtime, precision in (*variants._ON_CPU, *variants._ON_GPU):
        assert precision in RUNTIME_PRECISIONS[runtime]
