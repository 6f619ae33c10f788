"""Measure bulk work: the rates of both engines, the driver of a large plan, and recovery from kills.

The photos are real and lie in an S3 server that this script starts; large plans list each photo several
times. The driver is `catloader bulk run` in a separate process. Drivers, Ray's raylet and its workers are
killed with SIGKILL. For a large plan the script measures the time to the first unit, the requests to S3, and
the driver's memory.

    python scripts/benchmark_bulk.py [--photos 2000] [--plan 1000000] [--kills 3] [--json FILE]

Exit code 1: a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from scripts.command_line import CannotRun, new_file, number, report_errors, require, write_result

if TYPE_CHECKING:
    from catloader.settings import Settings

FIRST_UNIT_S = 10.0
DRIVER_MB = 500.0
RAY_SHARE = 0.9


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos",
        type=number(int, 1, 10_000_000),
        default=2000,
        help="number of photos in the plans whose processes are killed",
    )
    parser.add_argument(
        "--rate-photos",
        type=number(int, 1, 10_000_000),
        default=2000,
        help="number of photos in the plans whose rate is measured",
    )
    parser.add_argument(
        "--rounds",
        type=number(int, 1, 100),
        default=3,
        help="number of rounds; each measures one engine after the other",
    )
    parser.add_argument(
        "--plan",
        type=number(int, 1, 100_000_000),
        default=1_000_000,
        help="number of photos in the large plan",
    )
    parser.add_argument(
        "--kills", type=number(int, 1, 1000), default=3, help="number of kills of each kind of process"
    )
    parser.add_argument(
        "--watch",
        type=number(int, 1, 86_400),
        default=40,
        help="seconds to watch the large plan after its first unit",
    )
    parser.add_argument("--unit-rows", type=number(int, 1, 100_000), default=50, help="photos in a unit")
    parser.add_argument(
        "--engines", choices=["local,ray", "local", "ray"], metavar="local|ray|local,ray", default="local,ray"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("psutil", "pyarrow", *(["ray"] if "ray" in arguments.engines else []))
    from catloader.server.database import migrate_database
    from catloader.server.object_store import own_object_store
    from checker.evaluation.provenance import machine_kind, provenance
    from scripts.pipeline.sites import settings_for

    results: dict[str, Any] = {**provenance("catloader"), "unit_rows": arguments.unit_rows}
    with tempfile.TemporaryDirectory(prefix="catloader-bulk-") as name:
        settings = settings_for(Path(name), model="efficientnet_lite0", min_free_bytes=0)
        migrate_database(settings)  # without a site's database, `bulk run` refuses a plan of a site's photos
        with own_object_store(settings) as with_s3:
            results["engines"] = _engines(arguments, with_s3, Path(name))
    results["missed"] = missed(results["engines"], arguments.unit_rows)
    print(machine_kind(results["machine"]))
    for sentence in results["missed"]:
        print(f"MISSED: {sentence}")
    write_result(arguments.json, results)
    return 1 if results["missed"] else 0


def missed(engines: dict[str, Any], unit_rows: int) -> list[str]:
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
        if large["requests"].get("LIST"):
            sentences.append(f"{engine}: the object store was listed {large['requests']['LIST']} times")
        if kills["verdicts"] != kills["photos"] or kills["doubles"]:
            sentences.append(
                f"{engine}: {kills['verdicts']} verdicts of {kills['photos']} photos after the kills"
            )
        if kills["differing"]:
            sentences.append(f"{engine}: {kills['differing']} decisions are not those of `check run`")
        sentences += [
            f"{engine}: {extra} extra inferences by {kills['kills'][victim]} kills of the {victim}, "
            f"more than {unit_rows} each"
            for victim, extra in kills["extra_inferences"].items()
            if extra > kills["kills"][victim] * unit_rows
        ]
    if {"local", "ray"} <= engines.keys():
        share = engines["ray"]["photos_per_s"] / engines["local"]["photos_per_s"]
        if share < RAY_SHARE:
            sentences.append(f"ray reaches {share:.2f} of local's rate, not {RAY_SHARE}")
    return sentences


def _engines(arguments: argparse.Namespace, settings: Settings, folder: Path) -> dict[str, dict[str, Any]]:
    from scripts.bulk.drivers import rate, watch
    from scripts.bulk.kills import UNITS_BEFORE_A_KILL, VICTIMS, kill
    from scripts.bulk.plans import decisions_of_check_run, differing, make_plan, stored_photos

    engines = arguments.engines.split(",")
    kills = arguments.kills * max(len(VICTIMS[engine]) for engine in engines)
    fewest = arguments.unit_rows * (UNITS_BEFORE_A_KILL * kills + 1)
    if arguments.photos < fewest:
        raise CannotRun(
            f"--kills {arguments.kills} and --unit-rows {arguments.unit_rows} need --photos {fewest} or more."
        )
    stored = stored_photos(settings, max(arguments.photos, arguments.rate_photos))
    expected = decisions_of_check_run(settings, stored)
    rates: dict[str, list[float]] = {engine: [] for engine in engines}
    for turn in range(arguments.rounds):
        for engine in engines:
            name = f"{engine}-rate-{turn}"
            plan = make_plan(folder / name, stored, arguments.rate_photos, arguments.unit_rows)
            rates[engine].append(rate(settings, plan, engine))
    results = {}
    for engine in engines:
        large = make_plan(folder / f"{engine}-large", stored, arguments.plan, arguments.unit_rows)
        killed = make_plan(folder / f"{engine}-killed", stored, arguments.photos, arguments.unit_rows)
        results[engine] = {
            "photos_per_s": median(rates[engine]),
            "rounds_photos_per_s": rates[engine],
            "large": watch(settings, large, engine, arguments.watch),
            "kills": kill(settings, killed, engine, arguments.kills)
            | {"differing": differing(killed, expected)},
        }
        print(engine, json.dumps(results[engine]), flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
