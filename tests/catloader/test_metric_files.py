"""Metrics of a process whose temporary folder is on a full disk, or that has no file descriptor left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.scenarios.full_disks import fill, may_mount, small_disk

_COUNT = """
import sys
from pathlib import Path
from catloader.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    metrics.refused(f"Reason{number}")
print("filled?", flush=True)
input()
for number in range(int(sys.argv[2]), 3000):
    metrics.refused(f"Reason{number}")
metrics.refused("Reason0")
text = metrics.as_text({}, 0.0, {}).decode()
print(*[line for line in text.splitlines() if line.startswith("catloader_refusals_total")][:1])
"""


@pytest.mark.parametrize(
    ("before", "shown"), [(0, ""), (1, 'catloader_refusals_total{reason="reason0"} 1.0')]
)
def test_a_full_disk_does_not_end_a_process_that_counts(tmp_path: Path, before: int, shown: str) -> None:
    if not may_mount(tmp_path):
        pytest.skip("only root may make a small disk")
    with small_disk(tmp_path / "disk", 2**20) as disk:
        (disk / "metrics").mkdir()
        if not before:
            fill(disk / "ballast")
        program = [sys.executable, "-c", _COUNT, str(disk / "metrics"), str(before)]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            assert process.stdout.readline() == "filled?\n"
            if before:
                fill(disk / "ballast")
            assert process.communicate("yes\n", timeout=60)[0] == f"{shown}\n"
        assert process.returncode == 0


_COUNT_WITHOUT_DESCRIPTORS = """
import resource, sys
from pathlib import Path
from catloader.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    metrics.refused(f"Reason{number}")
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
for number in range(1500):
    metrics.refused(f"Reason{number}")
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
for number in range(3000):
    metrics.refused(f"Reason{number}")
print(metrics.refusals.labels("reason1400")._value.get())
"""


@pytest.mark.parametrize("before", [0, 1])
def test_a_process_without_free_descriptors_keeps_counting(tmp_path: Path, before: int) -> None:
    program = [sys.executable, "-c", _COUNT_WITHOUT_DESCRIPTORS, str(tmp_path), str(before)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("2.0\n", "")
