"""Mark tests as ``slow`` for `make test-fast`, and put the longest ones first.

Slow are those that start servers, browsers or sites, make models, or measure: those found here, and those
that carry the marker, in files whose other tests start nothing. Others carry it because they take two seconds
of a processor or more. With the longest ones first, processes that
share the tests finish at the same time, with short ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

FIXTURES = frozenset({"s3_server", "postgres_url"})
FOLDERS = frozenset({"acceptance", "browser", "faults", "scripts"})
LONGEST = frozenset({"acceptance", "browser", "bulk", "faults", "scripts"})
FILES = frozenset(
    {
        "test_calibrate_database.py",
        "test_client.py",
        "test_connections.py",
        "test_doctor.py",
        "test_embedded.py",
        "test_gunicorn.py",
        "test_loader.py",
        "test_objects.py",
        "test_openvino_runtime.py",
        "test_optimise.py",
        "test_probes.py",
        "test_rabbitmq.py",
        "test_real_weights.py",
    }
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file of slow tests for `make test-fast`: some of them import much."""
    if config.option.markexpr != "not slow":
        return None
    return _holds_slow_tests(collection_path, config) or None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before -m selects by marker; after pytest has grouped them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        if _is_slow(item):
            item.add_marker("slow")
    yield
    items.sort(key=lambda item: LONGEST.isdisjoint(item.path.parts))


def _is_slow(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return bool(
        FIXTURES.intersection(fixtures)
        or "postgresql" in parameters  # that half of a test that runs on both databases
        or _holds_slow_tests(item.path, item.config)
    )


def _holds_slow_tests(path: Path, config: pytest.Config) -> bool:
    folders = Path(os.path.relpath(path, config.rootpath)).parts
    return path.name in FILES or not FOLDERS.isdisjoint(folders)
