"""Measure what firing the check adds to an upload: the median POST, fired, not fired, and blocking.

Three sites run side by side, with one embedded S3 server and a database each, and take turns:

    fired     CATCHECK_DISPATCH=thread: the product as it ships
    not fired CATCHECK_DISPATCH=off: nothing is checked
    blocking  the design without fire and forget: the check runs inside the request

The first two are compared without a backlog: each POST waits until the verdict of the one before is
there. Then ``fired`` is measured again while 500 photos wait, and shares the cores with their checks.

    python scripts/benchmark_upload.py [--rounds 60] [--json scripts/results/upload.json]

Exit code 1: a fired POST takes more than 1.05 times as long as one that is not fired.
"""

from __future__ import annotations

import argparse
import json
import sys

from scripts.command_line import new_file, report_errors, require


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60, help="POSTs to each site and photo (default 60)")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("tqdm")
    from scripts.upload.run import measure

    results = measure(arguments.rounds, print)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
        print(f"written to {arguments.json}")
    return 0 if results["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
