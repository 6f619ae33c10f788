"""Measure the queue on PostgreSQL: rates of 1 to 8 worker processes, and the cost of a claim in large tables.

The model only sleeps, so that the processors of this machine are not the limit; claims, verdicts and log rows
are made by the site's own code. This script creates and drops the databases.

    python scripts/benchmark_scale.py --database-url URL [--quick] [--json FILE]

Exit code 1: a target is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import scripts  # noqa: F401 - first: finds the packages without an installation
from checker.plurals import counted
from scripts.command_line import CannotRun, new_file, number, report_errors, write_result

TIMES = {2: 1.9, 4: 3.7, 8: 7.0}
"""Number of workers -> the minimum rate, as a multiple of one worker's."""
MOST_SLOWER = 1.3
_WAITING = 10_000
_DEAD = 100_000


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--database-url",
        default="",
        help="PostgreSQL server on which databases are created and dropped again",
    )
    parser.add_argument(
        "--batch-ms",
        type=number(int, 1, 60_000),
        default=400,
        help="duration of a forward pass in ms (default 400)",
    )
    parser.add_argument(
        "--seconds",
        type=number(int, 1, 86_400),
        default=15,
        help="approximate time for each fleet in seconds (default 15)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="at most 100000 rows, and 5 seconds for each fleet"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    if not arguments.database_url:
        raise CannotRun("SQLite allows one writer at a time; name a PostgreSQL server with --database-url")
    if arguments.quick:
        arguments.seconds = min(arguments.seconds, 5)
    from checker.evaluation.provenance import machine_kind, provenance

    results: dict[str, Any] = {
        **provenance("catloader"),
        "database": _version(arguments.database_url),
        "batch_ms": arguments.batch_ms,
        "fleets": list(_fleets(arguments)),
        "waiting": _WAITING,
        "tables": list(_tables(arguments)),
    }
    results["missed"] = missed(results)
    print(f"{machine_kind(results['machine'])}; {results['database']}")
    for fleet in results["fleets"]:
        print(
            "  {}: {photos_per_s:7.1f} photos/s, {times:.2f} times one".format(
                counted(fleet["workers"], "worker"), **fleet
            )
        )
    for table in results["tables"]:
        print(
            "  {rows:>8} rows done, {dead_rows:>7} dead{note}: claim {claim_ms:.2f} ms (half "
            "below {claim_p50_ms:.2f}, 95 % below {claim_p95_ms:.2f}), verdicts {finish_ms:.2f} ms".format(
                **table
            )
        )
    for sentence in results["missed"]:
        print(f"MISSED: {sentence}")
    write_result(arguments.json, results)
    return 1 if results["missed"] else 0


def missed(results: dict[str, Any]) -> list[str]:
    """Return one sentence for each target that the figures miss."""
    sentences = [
        f"{fleet['workers']} workers reach {fleet['times']:.2f} times the rate of one, "
        f"not {TIMES[fleet['workers']]}"
        for fleet in results["fleets"]
        if fleet["times"] < TIMES.get(fleet["workers"], 0)
    ]
    first, *others = results["tables"]
    sentences += [
        f"a claim takes {table['claim_ms']} ms with {table['rows']} rows done and {table['dead_rows']} dead, "
        f"{first['claim_ms']} ms with {first['rows']}"
        for table in others
        if not table["note"] and table["claim_ms"] > MOST_SLOWER * first["claim_ms"]
    ]
    return sentences


def _fleets(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from scripts.scale.fleet import BATCH_PHOTOS, new_table, rate

    single_rate = 0.0
    for workers in (1, 2, 4, 8):
        batches = max(5, 1000 * arguments.seconds // arguments.batch_ms)
        photos = workers * batches * BATCH_PHOTOS
        with _database(arguments, "fleet") as url:
            new_table(url, photos, photos)
            measured = rate(url, workers, photos, arguments.batch_ms / 1000)
        single_rate = single_rate or measured.photos_per_s
        yield {
            "workers": workers,
            "photos": photos,
            "photos_per_s": round(measured.photos_per_s, 1),
            "times": round(measured.photos_per_s / single_rate, 2),
            "batch_ms": round(measured.batch_ms, 1),
        }


def _tables(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure all tables in turn, in several rounds: other load on the machine affects them equally."""
    from catloader.store.db.dead_rows import check_first, leave_dead_rows, old_snapshot
    from scripts.scale.claims import ROUNDS, Table
    from scripts.scale.fleet import engine_of, new_table

    sizes = (1_000, 100_000) if arguments.quick else (1_000, 100_000, 1_000_000)
    with ExitStack() as stack:

        def table(rows: int, dead: int = 0, note: str = "", checked: int = 0) -> Table:
            url = stack.enter_context(_database(arguments, "claims"))
            new_table(url, rows + _WAITING, _WAITING + checked)
            engine = stack.enter_context(engine_of(url))
            if note:
                stack.enter_context(old_snapshot(engine))
            dead_rows = (
                leave_dead_rows(engine, dead) if dead else check_first(engine, checked) if checked else 0
            )
            return Table(engine, rows=rows, dead_rows=dead_rows, note=note)

        tables = [
            *map(table, sizes),
            table(sizes[-1], _DEAD),
            table(sizes[-1], _DEAD, ", kept by an old transaction"),
            table(sizes[-1], note=", checked since an old transaction began", checked=_DEAD // 2),
        ]
        for _ in range(ROUNDS):
            for entry in tables:
                entry.measure()
        yield from (entry.costs() for entry in tables)


@contextmanager
def _database(arguments: argparse.Namespace, name: str) -> Iterator[str]:
    from catloader.store.db.testing import temporary_database

    with (
        tempfile.TemporaryDirectory(prefix="catloader-scale-") as folder,
        temporary_database(arguments.database_url, Path(folder), name) as url,
    ):
        yield url


def _version(url: str) -> str:
    from catloader.store.db.testing import server_version

    return f"PostgreSQL {server_version(url)}"


if __name__ == "__main__":
    sys.exit(main())
