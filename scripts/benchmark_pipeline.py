"""Measure the overhead of S3, database and log over the model, and its growth with the tables.

There are two targets, measured with real parts (the embedded S3 server, SQLite or PostgreSQL, a real model):

    A  the whole pipeline, from S3 and back into the database, runs at 85 % or more of the classifier's own
       rate, which is measured with the same bytes from memory through decode, model and decision, with the
       same number of threads. The target also holds for photos that the checking process has just stored,
       which it does not need to fetch
    B  claim and verdict take as long in a table of 1 000 000 photos as in one of 1 000

The compared parts are measured in turn, so that other load on the machine affects all of them equally. The
settings of the section "Checking" are read from the environment. Folder and databases are new; existing data
is not used.

    python scripts/benchmark_pipeline.py [--quick] [--photos FOLDER] [--json FILE] [--database-url URL]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from scripts.command_line import CannotRun, new_file, number, report_errors, require, write_result
from scripts.pipeline.plan import QUICK, Plan


def _sizes(text: str) -> list[int]:
    return [int(rows) for rows in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="up to 100 000 rows, fewer measurements: under 2 minutes"
    )
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="measure part A with these photos too")
    parser.add_argument("--rows", type=_sizes, metavar="A,B", help="sizes of the tables in part B")
    parser.add_argument(
        "--rounds",
        type=number(int, 1, 1000),
        metavar="N",
        help="measurements of each part (default 7, quick 5)",
    )
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--stand-in", default="", metavar="VARIANT", help="run --model with random weights in this variant"
    )
    parser.add_argument(
        "--database-url",
        default="",
        help="PostgreSQL server on which databases are created and dropped again",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    return parser


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    plan = replace(QUICK if arguments.quick else Plan(), folder=arguments.photos)
    if arguments.rounds:
        plan = replace(plan, rounds=arguments.rounds)
    if arguments.rows:
        plan = replace(plan, rows=arguments.rows)
    if min(plan.rows) < plan.pending:
        parser.error(f"--rows: at least {plan.pending}, the number of photos to check.")
    # Report now the errors that would otherwise end the run after minutes.
    require("psutil")
    if plan.folder is not None and not plan.folder.is_dir():
        raise CannotRun(f"the folder {plan.folder} does not exist")
    from catloader.store.db.testing import temporary_database
    from scripts.pipeline.report import as_text
    from scripts.pipeline.run import measure
    from scripts.pipeline.sites import settings_for

    if arguments.database_url:
        with temporary_database(arguments.database_url, Path(), "probe"):
            pass
    with tempfile.TemporaryDirectory(prefix="catloader-bench-") as name:
        settings = settings_for(
            Path(name),
            model=arguments.model,
            runtime=arguments.runtime,
            precision=arguments.precision,
            database_url=arguments.database_url,
        )
        results = measure(settings, plan, arguments.stand_in)
    print(as_text(results))
    write_result(arguments.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
