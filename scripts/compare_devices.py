"""Compare a GPU's scores and verdicts with the CPU's, on the same photos and with the same profile.

    python scripts/compare_devices.py DATA [--model efficientnet_lite0] [--json FILE]

The reference is torch in fp32 on the CPU, and its profile decides for both. The decision that is based on
this comparison is docs/decisions/0015-gpu.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.command_line import new_file, number, report_errors, require, write_result


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="labelled photos, as for scripts/benchmark_accuracy.py")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights-dir", type=Path, metavar="FOLDER", help="default: CATCHECK_WEIGHTS_DIR")
    parser.add_argument(
        "--photos",
        type=number(int, 1, 10_000_000),
        metavar="N",
        help="use at most N photos, spread over DATA; default: all",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("torch")
    from catloader.cli.models.labelled_photos import open_photos
    from catloader.settings import Settings
    from checker.evaluation.provenance import machine_kind, provenance
    from scripts.comparisons.devices import as_text, compare

    settings = Settings.from_environment()
    with open_photos(arguments.data, settings) as photos:
        sampled = photos[:: -(-len(photos) // arguments.photos)] if arguments.photos else photos
        figures = compare(sampled, arguments.model, arguments.weights_dir or settings.weights_dir)
    result = {**provenance(), **figures}
    print(machine_kind(result["machine"]))
    print(as_text(figures))
    write_result(arguments.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
