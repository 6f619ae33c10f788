"""Bulk work with the engine ``ray``, in its own processes, on 200 photos in a real S3 and two cores."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import psutil
import pytest

from catloader.bulk.engines.ray_engine import places, start_ray
from catloader.bulk.engines.ray_fleet import Place
from catloader.bulk.plan import BulkError, Plan
from catloader.demo.client import free_port
from catloader.settings import Settings
from scripts.bulk.requests import CountedRequests
from tests.catloader.bulk.conftest import (
    MANY,
    BulkSite,
    decisions,
    decisions_of_check_run,
    results,
    wait_for_results,
)
from tests.support import forked
from tests.support.processes import command_of, kill, until_gone

UNIT = 10
ON_RAY = ("--engine", "ray")
_CLUSTER = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_MISLEADING = {
    # Ray must not write a token to the home folder: clusters that start here later would require it.
    "HOME": "/proc/none",
    "RAY_ADDRESS": "127.0.0.1:1",
}
"""A home folder that does not exist, and the address of a cluster that does not run."""


@pytest.fixture
def site(many: BulkSite) -> BulkSite:
    return many


def _process(driver: forked.Command, name: str) -> psutil.Process:
    """Return the first process of a run with ``name`` in its command line."""
    for child in psutil.Process(driver.pid).children(recursive=True):
        if name in "".join(command_of(child)[:1]):
            return child
    pytest.fail(f"there is no process {name}")


@pytest.mark.timeout(600)
def test_a_killed_run_resumes_on_ray_and_decides_like_local_bit_for_bit(site: BulkSite) -> None:
    """The decisions of ``local`` are those of ``check run``: ``test_local.py`` compares them."""
    site.type("bulk", "plan", "ray", "--unit-rows", str(UNIT))
    on_ray = Plan(site.folder / "bulk/ray")
    site.kill_amid(on_ray.folder, "bulk", "run", "ray", *ON_RAY, CATCHECK_WORKERS="2", units=2)
    done = {path: path.stat().st_mtime_ns for path in results(on_ray.folder)}
    assert 2 <= len(done) < MANY / UNIT
    with CountedRequests(site.settings.s3_endpoint_url).running() as requests:
        counted = {"CATCHECK_WORKERS": "2", "AWS_ENDPOINT_URL_S3": requests.url}
        process = site.start("bulk", "resume", "ray", *ON_RAY, **counted)
        wait_for_results(on_ray.folder, len(done) + 1, process)
        _process(process, "ray::UnitChecker").kill()
        assert process.wait(240) == 0
    assert requests.counts["GET"] >= 2 * (MANY - UNIT * len(done))
    assert requests.counts.keys() <= {"GET", "HEAD"}, "the bucket was listed"
    assert {path: path.stat().st_mtime_ns for path in done} == done, "a finished unit was done again"
    assert len(results(on_ray.folder)) == on_ray.units
    decided = decisions(on_ray)
    assert len({id for id, *_ in decided}) == len(decided) == MANY
    assert decided == decisions_of_check_run(site)


@pytest.mark.timeout(600)
def test_run_ends_after_its_raylet_was_killed(site: BulkSite) -> None:
    site.type("bulk", "plan", "alone", "--unit-rows", str(UNIT))
    folder = site.folder / "bulk/alone"
    process = site.start("bulk", "run", "alone", *ON_RAY, CATCHECK_WORKERS="2")
    wait_for_results(folder, 1, process)
    actor = _process(process, "ray::UnitChecker")
    actor.suspend()  # otherwise it could finish the plan before the raylet is killed
    try:
        _process(process, "raylet/raylet").kill()
        assert process.wait(240) == 1
    finally:
        with suppress(psutil.NoSuchProcess):
            actor.kill()


@pytest.mark.timeout(600)
def test_cancelled_run_leaves_no_process(site: BulkSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Ray of the run starts without a home folder, and not at RAY_ADDRESS."""
    for name in _CLUSTER:
        monkeypatch.delenv(name, raising=False)
    site.type("bulk", "plan", "cancelled", "--unit-rows", str(UNIT))
    plan = Plan(site.folder / "bulk/cancelled")
    process = site.start("bulk", "run", "cancelled", *ON_RAY, CATCHECK_WORKERS="2", **_MISLEADING)
    wait_for_results(plan.folder, 1, process)
    actor = _process(process, "ray::UnitChecker")  # its threads hold the next unit
    plan.cancel()
    process.wait(240)
    try:
        assert len(results(plan.folder)) < plan.units
        until_gone([actor])
    finally:
        kill(actor)


class _SlowRay:
    """A fake of Ray on a machine that is too busy to start it."""

    def init(self, **options: Any) -> None:
        raise Exception(f"The current node timed out during startup.\nOptions: {options}")


def test_a_slow_start_of_ray_is_reported_in_one_sentence() -> None:
    with pytest.raises(
        BulkError, match=r"^No Ray at this machine: The current node timed out during startup.$"
    ):
        start_ray(_SlowRay(), "", Settings())


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}"])
def test_a_port_without_a_cluster_is_reported_at_once_in_one_sentence(form: str) -> None:
    address = form.format(free_port())
    with pytest.raises(BulkError) as refusal:
        start_ray(_SlowRay(), address, Settings())
    assert str(refusal.value) in {
        f"No Ray at {address}: {reason}"
        for reason in (
            "Connection refused",
            "Cannot assign requested address",
            "Address family not supported by protocol",  # a kernel without IPv6
        )
    }


class _RefusingRay:
    """A fake of Ray whose cluster requires a token that this machine does not send."""

    def init(self, **options: Any) -> None:
        raise ConnectionError(f"Failed to connect to Ray cluster at {options['address']}")


def test_a_cluster_that_refuses_the_connection_names_the_settings_of_tokens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BulkError) as refusal:
            start_ray(_RefusingRay(), address, Settings())
    assert str(refusal.value) == (
        f"No connection to Ray at {address} (Failed to connect to Ray cluster at {address}): if the cluster "
        "requires a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN."
    )


def test_a_port_that_does_not_exist_is_reported_in_one_sentence() -> None:
    with pytest.raises(BulkError, match=r"^No Ray at 127\.0\.0\.1:99999: "):
        start_ray(_SlowRay(), "127.0.0.1:99999", Settings())


def _node(name: str, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": resources}


def test_cluster_is_divided_among_actors_without_mixing_gpus_and_cpus() -> None:
    plain = [_node("small", CPU=2.0), _node("large", CPU=10.0), _node("gone", alive=False, CPU=8.0)]
    on_cpu = [Place("small", 2, 0), *[Place("large", 3, 0)] * 3]
    assert places(plain, with_gpus=True) == on_cpu
    mixed = [*plain, _node("gpus", CPU=16.0, GPU=2.0)]
    assert places(mixed, with_gpus=True) == [Place("gpus", 8, 1)] * 2
    assert places(mixed, with_gpus=False) == [*on_cpu, *[Place("gpus", 4, 0)] * 4]
    assert places([_node("head")], with_gpus=True) == []
