"""Processor-dependent tests: on this processor, and with the runtimes held back to AVX2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processor import AVX2_ONLY, KIND_NAMES, KINDS, served_variants

_ROOT = Path(__file__).resolve().parents[2]


def _run(arguments: list[str], kind: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CATCHECK_")}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=_ROOT,
        env={**environment, **kind},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_demo_verdicts_are_right(kind: dict[str, str]) -> None:
    done = _run(["catloader", "demo"], kind, 100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 of 7 verdicts are right." in done.stdout
    decided_by = {
        f"Decided by efficientnet_lite0 ({runtime}, {precision}, cpu)."
        for runtime, precision in served_variants({**os.environ, **kind})
    }
    assert decided_by & set(done.stdout.splitlines())


@pytest.mark.timeout(600)
def test_processor_dependent_tests_pass_when_held_back_to_avx2() -> None:
    where = ["tests/checker/runtimes", "tests/scripts"]
    done = _run(["pytest", "-m", "processor", "-p", "no:cacheprovider", *where], AVX2_ONLY, 500)
    assert done.returncode == 0, done.stdout
    assert "held back by ONEDNN_MAX_CPU_ISA=AVX2" in done.stdout
