"""Mark tests as ``slow`` for `make test-fast`, and run the longest tests first.

Tests are slow if they start servers, browsers or sites, make models or the wheel, or measure. This module
finds most of them by their fixtures, folders and files. The others have the marker themselves: single tests
in files whose other tests start nothing, and tests that take a second of a core or more.

Each process of a run begins with some of the longest tests. The short tests come last: the processes take
them from each other (``worksteal``), so that all processes finish at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

FIXTURES = frozenset({"lite0", "postgres_url", "s3_server", "wheel"})
FOLDERS = frozenset({"acceptance", "browser", "faults", "scripts"})
LONGEST = frozenset({"acceptance", "browser", "bulk", "faults", "scripts"})
TOGETHER = ("browser", "engines")
"""Folders whose files share what each process makes again: a browser and a site, or 200 checked photos."""
FILES = frozenset(
    {
        "test_answer_time.py",
        "test_broker.py",
        "test_calibrate_database.py",
        "test_client.py",
        "test_connections.py",
        "test_data_dir.py",
        "test_doctor.py",
        "test_embedded.py",
        "test_gunicorn.py",
        "test_loader.py",
        "test_objects.py",
        "test_oidc.py",
        "test_onnx.py",
        "test_openvino_runtime.py",
        "test_optimise.py",
        "test_probes.py",
        "test_promotion.py",
        "test_rabbitmq.py",
        "test_real_weights.py",
        "test_unread_answers.py",
    }
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip files of slow tests for `make test-fast` without importing them, because some imports are slow."""
    if config.option.markexpr != "not slow":
        return None
    return _holds_slow_tests(collection_path, config) or None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before -m selects by marker; after pytest has grouped them
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        if _is_slow(item):
            item.add_marker("slow")
    yield
    items[:] = longest_first(items, getattr(config, "workerinput", {}).get("workercount", 1))


def longest_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests in the order that pytest-xdist's ``worksteal`` cuts into one part for each process.

    Each part begins with its share of the files of the longest tests. The tests of such a file stay together,
    and so do the files of a folder of ``TOGETHER``.
    """
    long: dict[Path, list[pytest.Item]] = {}
    short = []
    for item in items:
        if LONGEST.isdisjoint(item.path.parts):
            short.append(item)
        else:
            long.setdefault(item.path, []).append(item)
    ordered = list[pytest.Item]()
    for number, files in enumerate(_shares(long, processes)):
        part = [item for file in files for item in long[file]]
        size = (len(items) - len(ordered)) // (processes - number)  # as pytest-xdist divides
        rest = max(0, size - len(part))
        ordered += part + short[:rest]
        del short[:rest]
    return ordered + short


def _shares(files: Iterable[Path], processes: int) -> list[list[Path]]:
    """Divide files among processes as evenly as the folders that stay together allow."""
    shares: list[list[Path]] = [[] for _ in range(processes)]
    alone: list[Path] = []
    together: dict[str, list[Path]] = {name: [] for name in TOGETHER}
    for file in files:
        folder = next((name for name in TOGETHER if name in file.parts), None)
        (together[folder] if folder else alone).append(file)
    for group in [*together.values(), *([file] for file in alone)]:
        min(shares, key=len).extend(group)
    return shares


def _is_slow(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return bool(
        FIXTURES.intersection(fixtures)
        or "postgresql" in parameters  # the PostgreSQL run of a test of both databases
        or _holds_slow_tests(item.path, item.config)
    )


def _holds_slow_tests(path: Path, config: pytest.Config) -> bool:
    folders = Path(os.path.relpath(path, config.rootpath)).parts
    return path.name in FILES or not FOLDERS.isdisjoint(folders)
