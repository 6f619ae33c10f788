"""Compare the profiles of two calibrations: thresholds, rates and intervals side by side.

    python scripts/compare_profiles.py FIRST SECOND [--json FILE]

FIRST and SECOND are folders with profiles of the same names. Exit code 1: a rate in one profile lies outside
the 95 % interval of the other.
"""

from __future__ import annotations

import argparse
import sys

from scripts.command_line import existing_folder, new_file, report_errors, write_result


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=existing_folder, metavar="FIRST")
    parser.add_argument("second", type=existing_folder, metavar="SECOND")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    from checker.evaluation.provenance import provenance
    from scripts.comparisons.profiles import as_text, compare

    pairs = compare(arguments.first, arguments.second)
    print(as_text(pairs))
    if arguments.json:
        result = {**provenance(), "profiles": pairs}
        write_result(arguments.json, result)
    return 0 if all(pair["within_error_bars"] for pair in pairs.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
