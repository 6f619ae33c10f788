"""Measure bulk work: a large plan's first unit and the driver's memory, both engines' rates, and kills.

Photos are real, in an S3 server that is started here; large plans name them again and again. The driver is
`catloader bulk run` in a process of its own.

    python scripts/benchmark_bulk.py [--photos 2000] [--plan 1000000] [--kills 3] [--json FILE]

Exit code 1: a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command_line import new_file, report_errors, require

if TYPE_CHECKING:
    from catloader.bulk.manifest import PlannedPhoto
    from catloader.bulk.plan import Plan
    from catloader.settings import Settings

FIRST_UNIT_S = 10.0
DRIVER_MB = 500.0
RAY_SHARE = 0.9
_STORED = 200
_UNIT_ROWS = 20
_LONGEST_S = 900


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=2000, help="of the plans that are run to their end")
    parser.add_argument("--plan", type=int, default=1_000_000, help="photos of the large plan")
    parser.add_argument("--kills", type=int, default=3, help="of each kind")
    parser.add_argument("--watch", type=int, default=40, help="seconds after the first unit")
    parser.add_argument("--engines", default="local,ray")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("psutil", "pyarrow", *(["ray"] if "ray" in arguments.engines else []))
    from checker.evaluation.provenance import machine_kind, provenance

    results: dict[str, Any] = {**provenance("catloader"), "unit_rows": _UNIT_ROWS, "engines": {}}
    with tempfile.TemporaryDirectory(prefix="catloader-bulk-") as name:
        for engine, figures in _engines(arguments, Path(name)):
            results["engines"][engine] = figures
            print(engine, json.dumps(figures), flush=True)
    results["missed"] = missed(results["engines"])
    print(machine_kind(results["machine"]))
    for sentence in results["missed"]:
        print(f"MISSED: {sentence}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
        print(f"written to {arguments.json}")
    return 1 if results["missed"] else 0


def missed(engines: dict[str, Any]) -> list[str]:
    """Return one sentence for each target that the figures miss."""
    sentences = []
    for engine, figures in engines.items():
        large, kills = figures["large"], figures["kills"]
        if large["first_unit_s"] > FIRST_UNIT_S:
            sentences.append(
                f"{engine}: the first unit took {large['first_unit_s']} s, not {FIRST_UNIT_S:.0f}"
            )
        if large["driver_mb"] > DRIVER_MB:
            sentences.append(f"{engine}: the driver took {large['driver_mb']} MB, not {DRIVER_MB:.0f}")
        if kills["verdicts"] != kills["photos"] or kills["doubles"]:
            sentences.append(
                f"{engine}: {kills['verdicts']} verdicts of {kills['photos']} photos after the kills"
            )
    if {"local", "ray"} <= engines.keys():
        share = engines["ray"]["photos_per_s"] / engines["local"]["photos_per_s"]
        if share < RAY_SHARE:
            sentences.append(f"ray reaches {share:.2f} of local's rate, not {RAY_SHARE}")
    return sentences


def _engines(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    from catloader.server.object_store import own_object_store
    from scripts.pipeline.sites import settings_for

    settings = settings_for(folder, model="efficientnet_lite0", min_free_bytes=0)
    with own_object_store(settings) as with_s3:
        stored = _stored_photos(with_s3)
        for engine in arguments.engines.split(","):
            whole = _plan(folder / f"{engine}-whole", stored, arguments.photos)
            rate = _rate(with_s3, whole, engine)
            large = _plan(folder / f"{engine}-large", stored, arguments.plan)
            killed = _plan(folder / f"{engine}-killed", stored, arguments.photos)
            yield (
                engine,
                {
                    "photos_per_s": rate,
                    "large": _watch(with_s3, large, engine, arguments.watch),
                    "kills": _kill(with_s3, killed, engine, arguments.kills),
                },
            )


def _stored_photos(settings: Settings) -> list[PlannedPhoto]:
    from catloader.bulk.manifest import PlannedPhoto
    from catloader.demo.photos import demo_photos
    from catloader.intake.prepare import prepare
    from catloader.intake.upload import limits
    from catloader.wiring import build_object_store
    from scripts.pipeline.sites import store

    folder = settings.data_dir / "demo"
    folder.mkdir()
    prepared = [prepare(photo.path.read_bytes(), limits=limits(settings)) for photo in demo_photos(folder)]
    return [
        PlannedPhoto(
            number,
            one.new.photo_key,
            one.new.thumbnail_key,
            one.new.sha256,
            one.new.thumbnail_sha256,
            one.new.size_bytes,
            "cat",
            0.5,
            None,
        )
        for number, one in enumerate(store(build_object_store(settings), prepared, _STORED))
    ]


def _plan(folder: Path, stored: list[PlannedPhoto], count: int) -> Plan:
    from catloader.bulk.manifest import write_manifest
    from catloader.bulk.plan import Facts, Plan

    photos = (photo._replace(photo_id=id) for id, photo in enumerate(islice(cycle(stored), count), 1))
    rows, size_bytes = write_manifest(folder / "manifest", photos, _UNIT_ROWS)
    return Plan.make(folder, Facts("efficientnet_lite0", _UNIT_ROWS, rows, size_bytes, "table"))


def _start(settings: Settings, plan: Plan, engine: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "CATLOADER_DATA_DIR": str(settings.data_dir),
        "AWS_ENDPOINT_URL_S3": settings.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key.get_secret_value(),
        "CATLOADER_MIN_FREE_BYTES": "0",
        "CATCHECK_WORKERS": str(settings.workers),
    }
    command = [sys.executable, "-m", "catloader", "bulk", "run", str(plan.folder), "--engine", engine]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def _rate(settings: Settings, plan: Plan, engine: str) -> float:
    """Return photos a second between the first and the last unit: without the start of Ray and model."""
    if _start(settings, plan, engine).wait(_LONGEST_S):
        raise RuntimeError(f"`bulk run --engine {engine}` failed.")
    times_s = sorted(path.stat().st_mtime for path in (plan.folder / "results").glob("*/*.parquet"))
    return round((len(times_s) - 1) * _UNIT_ROWS / (times_s[-1] - times_s[0]), 1)


def _watch(settings: Settings, plan: Plan, engine: str, seconds: int) -> dict[str, Any]:
    """Watch the driver of a large plan for a while, then cancel it."""
    import psutil

    started_s, first_s, most_bytes = time.monotonic(), 0.0, 0
    process = _start(settings, plan, engine)
    driver = psutil.Process(process.pid)
    while not first_s or time.monotonic() - started_s < first_s + seconds:
        if process.poll() is not None or time.monotonic() - started_s > _LONGEST_S:
            raise RuntimeError(f"`bulk run --engine {engine}` ended early.")
        memory = driver.memory_info()
        # Without the object store that Ray shares with its workers.
        most_bytes = max(most_bytes, memory.rss - getattr(memory, "shared", 0))
        first_s = first_s or (time.monotonic() - started_s if plan.done() else 0.0)
        time.sleep(0.1)
    plan.cancel()
    process.wait(_LONGEST_S)
    return {
        "photos": plan.facts.photos,
        "first_unit_s": round(first_s, 1),
        "driver_mb": round(most_bytes / 1e6, 1),
        "watched_s": seconds,
    }


def _kill(settings: Settings, plan: Plan, engine: str, kills: int) -> dict[str, Any]:
    """Kill the driver so many times, with Ray also so many workers, then let the plan end; count verdicts."""
    for _ in range(kills):
        process = _start(settings, plan, engine)
        _wait_for_units(process, plan, plan.done() + 2)
        process.kill()
        process.wait()
    process = _start(settings, plan, engine)
    workers = 0
    while engine == "ray" and workers < kills:
        _wait_for_units(process, plan, plan.done() + 2)
        workers += _kill_worker(process)
    if process.wait(_LONGEST_S):
        raise RuntimeError(f"`bulk run --engine {engine}` failed after the kills.")
    ids = [row["photo_id"] for rows in plan.results() for row in rows if row["verdict"]]
    return {
        "drivers": kills,
        "workers": workers,
        "photos": plan.facts.photos,
        "verdicts": len(ids),
        "doubles": len(ids) - len(set(ids)),
    }


def _wait_for_units(process: subprocess.Popen[bytes], plan: Plan, units: int) -> None:
    while plan.done() < units:
        if process.poll() is not None:
            raise RuntimeError("The plan is too short: it ended before it could be killed.")
        time.sleep(0.05)


def _kill_worker(process: subprocess.Popen[bytes]) -> int:
    import psutil

    for child in psutil.Process(process.pid).children(recursive=True):
        if child.name().startswith("ray::MapWorker"):
            child.kill()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
