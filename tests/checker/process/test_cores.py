"""The number of cores that a process may use: quotas of containers and services count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.process.cores import available_cores, quota_in_cores


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        # Docker's --cpus 1.5: a container sees its own group as the root of the hierarchy.
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        # systemd's CPUQuota, then also with a lower quota of the slice above.
        ("0::/a.slice/b.service\n", {"a.slice/b.service/cpu.max": "400000 100000"}, 4),
        (
            "0::/a.slice/b.service\n",
            {"a.slice/b.service/cpu.max": "400000 100000", "a.slice/cpu.max": "50000 100000"},
            1,
        ),
        # Version 1: the path is the host's, and a container sees only the last part of it.
        (
            "5:memory:/docker/c\n4:cpu,cpuacct:/docker/c\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "300000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("4:cpu:/\n0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "broken"}, None),
        ("no list\n0::/\udcff\n0::/\n", {"cpu.max": "100000 100000"}, 1),
    ],
)
def test_a_quota_of_processor_time_is_counted_in_cores(
    tmp_path: Path, membership: str, files: dict[str, str], cores: int | None
) -> None:
    (tmp_path / "cgroup").write_bytes(os.fsencode(membership))
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert quota_in_cores(tmp_path / "groups", tmp_path / "cgroup") == cores


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert quota_in_cores(tmp_path, tmp_path / "none") is None


def test_no_more_cores_are_counted_than_there_are() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
