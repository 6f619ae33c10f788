"""Bulk work on a Ray cluster of three nodes: three raylets with one core each, on this machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from catloader.bulk.engines.ray_engine import import_ray
from catloader.bulk.plan import Plan
from catloader.demo.client import free_port
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
from tests.support.environ import environ_without_settings
from tests.support.processes import command_of

UNIT = 5
# Set for all nodes. Otherwise a token in the home folder would make the head, and only the head, require it.
_LOG_IN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64}
_HERE = "--node-ip-address=127.0.0.1"
_ROOT = Path(__file__).parents[4]
_RUN = """
import sys
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError
from catloader.bulk.engines.ray_engine import run_ray
from catloader.settings import Settings
photo = PlannedPhoto(1, "a.jpg", "b.jpg", None, None, 1, "cat", 0.5, None)
try:
    list(run_ray([(0, [photo])], Settings.from_environment(), "table", sys.argv[1]))
except BulkError as error:
    sys.exit(str(error))
"""


@contextmanager
def _node(log: Path, *words: str) -> Iterator[psutil.Process]:
    """Start a node of a cluster, and yield its raylet."""
    import_ray()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", *words]
    # Workers get any free ports, because their default range contains the ports that this test chooses.
    command += ["--object-store-memory=100000000", "--min-worker-port=0", "--max-worker-port=0"]
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    # No autoscaler and no forwarded logs: each would be one more interpreter per node, and no run needs them.
    command += ["--no-monitor", "--include-log-monitor=false"]
    variables = environ_without_settings(
        PYTHONPATH=str(_ROOT),
        PYTHONUNBUFFERED="1",
        RAY_USAGE_STATS_ENABLED="0",
        RAY_health_check_period_ms="500",
        **_LOG_IN,
    )
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=file)
    started = psutil.Process(process.pid)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Ray runtime started." in line:
                break
        (raylet,) = (
            child
            for child in started.children(recursive=True)
            if command_of(child)[0].endswith("raylet/raylet")
        )
        yield raylet
    finally:
        family = [*started.children(recursive=True), started]
        for member in reversed(family):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
        psutil.wait_procs(family, timeout=30)


def _actor_of(raylet: psutil.Process) -> psutil.Process | None:
    actors = (child for child in raylet.children() if "ray::UnitChecker" in "".join(command_of(child)[:1]))
    return next(actors, None)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, str]]:
    """The first node, which says that it has a GPU, and the address of its cluster."""
    address, log = f"127.0.0.1:{free_port()}", tmp_path_factory.mktemp("head") / "log"
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        _node(
            log, "--head", f"--port={address.rpartition(':')[2]}", f"--temp-dir={folder}", _HERE,
            "--include-dashboard=false", "--num-gpus=1",
        ) as raylet,
    ):  # fmt: skip
        yield raylet, address


@pytest.mark.timeout(600)
def test_a_model_that_cannot_run_on_the_clusters_gpu_is_refused_in_one_sentence(
    many: BulkSite, head: tuple[psutil.Process, str]
) -> None:
    """Otherwise one actor per GPU would compute on a CPU, and nodes without a GPU would do nothing.

    The next test but one has CATCHECK_DEVICE=cpu, as the sentence advises.
    """
    many.type("bulk", "plan", "gpu")
    auto = {"CATCHECK_DEVICE": "auto", "CATCHECK_RUNTIME": "openvino"}
    command = ["-m", "catloader", "bulk", "run", "gpu", "--engine", "ray", "--address", head[1]]
    refused = _python(*command, **{**many.environ, **auto})
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("Error: The model does not run on the GPU")
    assert "CATCHECK_DEVICE=cpu" in refused.stderr


@pytest.mark.timeout(600)
def test_failure_of_a_worker_process_is_reported_in_one_sentence_in_the_driver(
    many: BulkSite, head: tuple[psutil.Process, str]
) -> None:
    nowhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}", "CATCHECK_DEVICE": "cpu"}
    failed = _python("-c", _RUN, head[1], **{**many.environ, **nowhere})
    assert failed.returncode == 1
    sentence = failed.stderr.splitlines()[-1]
    assert sentence.startswith("The object store at http://127.0.0.1:")
    assert "did not answer" in sentence
    assert "Traceback" not in failed.stderr


def _python(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = environ_without_settings(**environ, **_LOG_IN)
    return subprocess.run(
        [sys.executable, *words], env=variables, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(600)
def test_run_on_three_nodes_goes_on_when_one_is_killed(
    many: BulkSite, head: tuple[psutil.Process, str], tmp_path: Path
) -> None:
    many.type("bulk", "plan", "nodes", "--unit-rows", str(UNIT))
    plan = Plan(many.folder / "bulk/nodes")
    first, address = head
    with (
        CountedRequests(many.settings.s3_endpoint_url).running() as requests,
        _node(tmp_path / "second", f"--address={address}", _HERE) as second,
        _node(tmp_path / "third", f"--address={address}", _HERE) as third,
    ):
        counted = {"AWS_ENDPOINT_URL_S3": requests.url, "CATCHECK_DEVICE": "cpu", **_LOG_IN}
        process = many.start("bulk", "run", "nodes", "--engine", "ray", "--address", address, **counted)
        actors = _suspended_actors([first, second, third], process)
        for actor in actors:  # only one actor runs at a time
            actor.resume()
            # Two results, because the first may still be the previous actor's.
            wait_for_results(plan.folder, len(results(plan.folder)) + 2, process)
            actor.suspend()
        done = {path: path.stat().st_mtime_ns for path in results(plan.folder)}
        third.kill()
        for actor in actors[:2]:
            actor.resume()
        assert process.wait(240) == 0
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(done) < len(results(plan.folder)) == plan.units
    # Two GETs per photo; the killed node was classifying one unit and had fetched the next.
    assert 2 * MANY <= requests.counts["GET"] <= 2 * (MANY + 2 * UNIT)
    decided = decisions(plan)
    assert len(decided) == MANY
    assert decided == decisions_of_check_run(many)


def _suspended_actors(raylets: Sequence[psutil.Process], driver: forked.Command) -> list[psutil.Process]:
    """Suspend the actor of each node as soon as it exists, before the first actors could finish the plan."""
    actors: dict[int, psutil.Process] = {}
    while len(actors) < len(raylets):
        assert driver.poll() is None
        for raylet in raylets:
            if raylet.pid not in actors and (actor := _actor_of(raylet)):
                actor.suspend()
                actors[raylet.pid] = actor
        time.sleep(0.05)  # children() is expensive: it reads the parents of all processes
    return [actors[raylet.pid] for raylet in raylets]
