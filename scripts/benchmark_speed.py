"""Measure how fast photos are classified: CatLoader compared with the loops found in tutorials.

    python scripts/benchmark_speed.py [--quick] [--json FILE] [--device cuda]

Each variant runs in its own process. The variants are measured in turn, in several rounds, so that other load
on the machine affects all of them equally. The report contains medians, the range over the rounds, and the
load of other programs. Every rate covers the way from JPEG files to class scores. ``requirements-bench.txt``
installs the packages of the other libraries; a variant whose package is missing is left out and reported.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import scripts  # noqa: F401 - first: finds the packages without an installation
from checker.runtimes.names import DEVICES
from models.catalogue import entry_named
from models.processor import cpu_flags, multiplies_bf16
from scripts.command_line import CannotRun, new_file, number, report_errors, require, write_result
from scripts.speed.names import CATLOADER, MODELS, ON_GPU, OTHERS, WHOLE_PHOTO, Plan


def _plan(arguments: argparse.Namespace) -> Plan:
    device = arguments.device
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("There is no CUDA GPU that torch can use: the CPU is measured instead.", flush=True)
            device = "cpu"
    names = ON_GPU if device == "cuda" else (*OTHERS, *CATLOADER, *WHOLE_PHOTO)
    models = arguments.models.split(",") if arguments.models else MODELS[:1] if arguments.quick else MODELS
    requested = arguments.variants.split(",") if arguments.variants else names
    if unknown := {*requested} - {*names}:
        raise CannotRun(
            f"no variant {', '.join(sorted(unknown))} on this device; there are {', '.join(names)}"
        )
    for model in models:
        entry_named(model)  # refuse unknown models before any file is made
    variants = [name for name in names if name in requested]
    if arguments.quick and device == "cpu" and not multiplies_bf16(cpu_flags()):
        variants = [name for name in variants if "bf16" not in name]  # emulated, it takes minutes
    rounds, turn_s, single_photos, large_photos = (5, 0.8, 8, 2) if arguments.quick else (7, 4.0, 10, 4)
    return Plan(models, variants, device, arguments.rounds or rounds, turn_s, single_photos, large_photos)


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="ResNet-50 only, fewer measurements: about 5 minutes"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure and ratio to FILE")
    parser.add_argument("--device", choices=DEVICES[1:], default="cpu")
    parser.add_argument("--models", metavar="A,B", help=f"of {', '.join(MODELS)}; default: all")
    parser.add_argument(
        "--variants", metavar="A,B", help=f"of {', '.join((*OTHERS, *CATLOADER, *WHOLE_PHOTO))}; default: all"
    )
    parser.add_argument(
        "--rounds",
        type=number(int, 1, 1000),
        metavar="N",
        help="measurements of each variant (default 7, quick 5)",
    )
    arguments = parser.parse_args(argv)
    require("tqdm")
    from scripts.speed.report import as_text
    from scripts.speed.run import run

    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        results = run(_plan(arguments), Path(folder))
    print(as_text(results))
    write_result(arguments.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
