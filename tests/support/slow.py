"""Mark tests as ``slow``, for `make test-fast`: those that start servers, browsers or sites, make models, or
measure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

FIXTURES = frozenset({"s3_server", "postgres_url"})
FOLDERS = frozenset({"acceptance", "browser", "faults", "scripts"})
FILES = frozenset(
    {
        "test_calibrate_database.py",
        "test_client.py",
        "test_embedded.py",
        "test_loader.py",
        "test_objects.py",
        "test_optimise.py",
        "test_real_weights.py",
    }
)


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marker
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if _is_slow(item):
            item.add_marker("slow")


def _is_slow(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return bool(
        FIXTURES.intersection(fixtures)
        or "postgresql" in parameters  # that half of a test which runs on both databases
        or FOLDERS.intersection(item.path.parts)
        or item.path.name in FILES
    )
