"""The engine ``ray``: Ray actors, here or on a cluster, each with a model and the threads of ``local``.

Units are sent with the rows of their photos, so the machines need no shared folder: only this process reads
the manifest and writes results. No pixels are sent: the machine that fetches and decodes a photo also
classifies it.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from catloader.bulk.engines.local import Done, Unit
from catloader.bulk.engines.ray_actor import UnitChecker
from catloader.bulk.engines.ray_fleet import Fleet, Place
from catloader.bulk.kept.keep import Task
from catloader.bulk.plan import BulkError
from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.wiring import load_model
from checker.pipeline import LoadedModel

_CORES_OF_AN_ACTOR = 4
"""Maximum without a GPU: with more cores, the threads of a process wait for its interpreter lock."""
_OBJECT_STORE_BYTES = 128 * 2**20
"""Size of Ray's object store if this process starts Ray. The results of a unit of 128 photos take less than
1 MB, those of 32 labelled photos 12 MB."""
_CONNECT_S = 10.0
_TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would send usage statistics
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # other log lines of Ray are useless to operators
    "RAY_prestart_worker_first_driver": "0",  # Ray would start an idle process for each core
    "RAY_enable_metrics_collection": "0",
    "RAY_health_check_period_ms": "500",  # 5 missed checks mean that a raylet has ended; Ray's default is 3 s
    "RAY_worker_niceness": "0",  # the priority of `local`; Ray's default is the lowest
}


def import_ray() -> Any:
    """Import Ray and return the module.

    Raises:
        StartupError: Ray is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise StartupError("`--engine ray` needs the package ray: pip install 'catloader[ray]'.") from error
    return ray


def run_ray(
    units: Iterable[Unit],
    settings: Settings,
    source: str,
    address: str,
    *,
    load: Callable[[Settings], LoadedModel] = load_model,
    task: Task | None = None,
) -> Iterator[Done]:
    """Yield the results of each unit, in the order in which they become ready.

    Args:
        source: as in ``plan.Facts``.
        address: of a cluster; ``auto``: the cluster of this machine; empty: start a cluster for this run.
        load: makes the model, in each actor.
        task: required for a plan of labelled photos.

    Raises:
        BulkError: Ray or an actor failed; the text says where and why.
    """
    ray = import_ray()
    start_ray(ray, address, settings)
    checker, node = ray.remote(UnitChecker), ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy

    def make(place: Place) -> Any:
        """Start an actor, on its machine if the cluster still has it."""
        strategy = node(place.node, soft=True)
        actor = checker.options(num_cpus=place.cores, num_gpus=place.gpus, scheduling_strategy=strategy)
        return actor.remote(settings, source, load, cores=place.cores, has_gpu=place.gpus > 0, task=task)

    try:
        workers = places(ray.nodes(), with_gpus=settings.device != "cpu")
        if not workers:
            raise BulkError("This cluster of Ray has no cores.")
        yield from Fleet(ray, make, workers).run(units)
    except ray.exceptions.RayError as error:
        raise BulkError(f"Ray stopped: {str(error).strip().splitlines()[-1]}") from error
    finally:
        ray.shutdown()


def places(nodes: Iterable[dict[str, Any]], *, with_gpus: bool) -> list[Place]:
    """Divide the machines of a cluster among actors.

    If any machine has a GPU, each GPU gets an actor and machines without a GPU get none: results from a CPU
    would be from another variant of the model.
    """
    machines = [
        (node["NodeID"], int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
        for node in nodes
        if node["Alive"]
    ]
    by_gpus = with_gpus and any(gpus for _, _, gpus in machines)
    made = []
    for node, cores, gpus in machines:
        actors = gpus if by_gpus else -(-cores // _CORES_OF_AN_ACTOR)
        made += [Place(node, max(1, cores // actors), int(by_gpus)) for _ in range(min(actors, cores))]
    return made


def start_ray(ray: Any, address: str, settings: Settings) -> None:
    """Connect to the cluster at this address, or start one on this machine.

    Raises:
        BulkError: there is no cluster, or it did not start.
    """
    parts = re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d{1,5})", address)
    if parts:
        _require_server(address, parts[1], int(parts[2]))
    elif not address:
        _make_token()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address:
            ray.init(address=address, **options)
        else:
            ray.init(
                address="local",  # else Ray uses RAY_ADDRESS
                num_cpus=settings.checking_threads,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **options,
            )
    except Exception as error:  # Ray raises plain exceptions, for example when its start takes too long
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if parts:  # the port accepts connections; Ray reads a token from the home folder only with `auto`
            raise BulkError(
                f"No connection to Ray at {address} ({reason}): if the cluster requires a token, set "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN."
            ) from error
        raise BulkError(f"No Ray at {address or 'this machine'}: {reason}") from error


def _make_token() -> None:
    """Set a token for the cluster of this run, unless the environment has one.

    Otherwise Ray writes a token into the home folder. A cluster that is started on this machine later would
    require that token, and the other machines of the cluster do not have it.
    """
    if not any(name in os.environ for name in _TOKEN_VARIABLES):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _require_server(address: str, host: str, port: int) -> None:
    """Connect once, because Ray retries a wrong address for minutes and logs each attempt."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BulkError(f"No Ray at {address}: {reason}") from error
