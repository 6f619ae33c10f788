"""Step 1 in child processes: results equal those of this process, and every failure is a plain refusal.

``tests/acceptance/test_hostile_images.py`` compares the results of all hostile files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from catloader import errors
from catloader.intake.isolated import WORK, IsolatedPreparer
from catloader.intake.places import Places
from catloader.intake.prepare import prepare
from catloader.intake.upload import limits as limits_of
from catloader.settings import Settings
from checker.isolation import limits
from checker.isolation.fork_server import ForkServer
from checker.isolation.pool import ChildPool

LIMITS = limits_of(Settings())


@contextmanager
def preparer(server: ForkServer, cpu_s: float = 60.0) -> Iterator[IsolatedPreparer]:
    pool = ChildPool(server, children=1, limits=limits.Limits(cpu_s, wall_s=120.0))
    yield IsolatedPreparer(pool, Places(slots=1, waiting=0, patience_s=0), LIMITS)
    pool.close()


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer([WORK], limits.DEFAULT_LIMITS.memory_bytes)
    yield server
    server.close()


def png(side: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 60).save(out, "PNG", compress_level=1)
    return out.getvalue()


def test_result_of_a_child_process_equals_that_of_this_process(server: ForkServer) -> None:
    data = png(1000)
    with preparer(server) as isolated:
        assert isolated(data, 1) == prepare(data, limits=LIMITS)


def test_photo_that_takes_too_long_is_refused(server: ForkServer) -> None:
    with (
        preparer(server, cpu_s=0.05) as isolated,
        pytest.raises(errors.BrokenImage, match="This PNG photo takes too long to open"),
    ):
        isolated(png(3000), 1)


@pytest.mark.slow
def test_photo_that_takes_too_much_memory_is_refused() -> None:
    small = ForkServer([WORK], 2**25)
    try:
        with (
            preparer(small) as isolated,
            pytest.raises(errors.BrokenImage, match="This PNG photo takes too much memory to open"),
        ):
            isolated(png(4500), 1)
    finally:
        small.close()


@pytest.mark.slow
def test_uploads_get_503_while_decoders_cannot_start() -> None:
    server = ForkServer([WORK], 2**30)
    server.close()
    with preparer(server) as isolated, pytest.raises(errors.DecodersAway) as away:
        isolated(png(10), 1)
    assert (away.value.status, away.value.retry_after_s) == (503, 5)
