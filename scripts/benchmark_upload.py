"""Measure how much dispatching the check adds to an upload, and how soon the verdict follows.

Three sites, each with its own database, share one embedded S3 server and are measured in turn:

    fired     CATCHECK_DISPATCH=thread: the default
    not fired CATCHECK_DISPATCH=off: no photo is checked
    blocking  a design without fire and forget: the check runs inside the request

The first two are compared without a backlog: each POST waits for the verdict of the previous photo. The time
from the start of a fired POST to its verdict is measured too. Then ``fired`` is measured again while 500
photos wait, whose checks use the same cores.

    python scripts/benchmark_upload.py [--rounds 60] [--json scripts/results/upload.json]

Exit code 1: a fired POST takes more than 1.05 times as long as one that is not fired.
"""

from __future__ import annotations

import argparse
import sys

from scripts.command_line import new_file, number, report_errors, require, write_result


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds",
        type=number(int, 1, 10_000),
        default=60,
        help="number of POSTs of each photo to each site (default 60)",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("tqdm")
    from scripts.upload.run import measure

    results = measure(arguments.rounds, print)
    write_result(arguments.json, results)
    return 0 if results["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
