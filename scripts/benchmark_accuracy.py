"""Compare models on labelled photos: a table, a JSON file, and a self-contained HTML report.

    python scripts/benchmark_accuracy.py DATA --models efficientnet_lite0,efficientnet_lite2 [--gate FILE]
    python scripts/benchmark_accuracy.py --from-run PLAN[,PLAN...]
    python scripts/benchmark_accuracy.py imagenet DIR [--models resnet50_v1]

The name of a model alone means torch fp32 on a CPU, whereas a site uses the fastest variant that keeps its
rates. Each model is evaluated by CatLoader's rule and, on the same activations, by the rules of other
programs. If a model's profile was fitted on the same photos, CatLoader's scores are cross-validated.

Exit codes: 0 done; 2 could not run; 3 a limit of the gate is broken; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from scripts.accuracy import imagenet_command
from scripts.accuracy.options import add_variant_options, named_variants
from scripts.command_line import existing_folder, number, report_errors, require, result_file

SAMPLE = 100
"""Default number of photos of each label to corrupt: 32 versions of each take 5 minutes on one core."""

TABLE = "file,label,kind,model,"
"""Start of the table of ``--csv``."""


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data",
        nargs="?",
        default="",
        help="folder or file of labelled photos (scripts/README.md), or 'database'",
    )
    parser.add_argument(
        "--from-run",
        default="",
        metavar="PLAN,...",
        help="read the stored activations of `catloader bulk plan --labelled`, instead of DATA and --models",
    )
    parser.add_argument(
        "--cat-classes", default="", metavar="NAME,...", help="folders or categories that show house cats"
    )
    add_variant_options(parser)
    parser.add_argument("--subject", default="house_cat")
    for option in ("--max-fpr", "--max-fnr"):
        parser.add_argument(option, type=number(float, 0.0001, 0.5), metavar="RATE", default=0.01)
    parser.add_argument(
        "--profiles", type=existing_folder, nargs="*", metavar="FOLDER", help="where to look for the profile"
    )
    results = Path(__file__).resolve().parent / "results"
    parser.add_argument(
        "--json",
        type=result_file("{"),
        metavar="FILE",
        default=str(results / "accuracy.json"),
        help="every figure (default: %(default)s)",
    )
    parser.add_argument(
        "--html",
        type=result_file("<!doctype html>"),
        metavar="FILE",
        default=str(results / "tmp" / "accuracy.html"),
        help="the report; it shows photos, so do not commit it (default: %(default)s)",
    )
    parser.add_argument(
        "--csv", type=result_file(TABLE), metavar="FILE", help="one line for each photo and model"
    )
    for option, change in (
        ("--corruptions", "blurred, small, compressed, dark and noisy in five strengths, drawn, and edited"),
        ("--positions", "at the edges of larger frames"),
    ):
        parser.add_argument(
            option,
            type=number(int, 1, 10_000_000),
            nargs="?",
            const=SAMPLE,
            default=0,
            metavar="N",
            help=f"also evaluate N cats and N others {change} (default N: {SAMPLE})",
        )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        default=results / "tmp" / "scores",
        help="scores of earlier runs (default: %(default)s)",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read scores of the same photos, variant, profile and code from the cache, so that a run "
        "resumes after an interruption",
    )
    parser.add_argument("--gate", type=Path, help="JSON file of limits; exit code 3 if one is broken")
    arguments = parser.parse_args(argv)
    if bool(arguments.data) == bool(arguments.from_run):
        parser.error("give either DATA or --from-run")
    if arguments.from_run and (arguments.corruptions or arguments.positions):
        parser.error("a run has no corrupted or moved photos: give DATA for them")
    written = [file.resolve() for file in (arguments.json, arguments.html, arguments.csv) if file]
    if len(set(written)) < len(written):
        parser.error("--json, --html and --csv must be different files")
    for option in ("models", "runtime", "precision", "device", "cat_classes"):
        if arguments.from_run and getattr(arguments, option) != parser.get_default(option):
            parser.error(
                "--from-run takes variants and photos from the plans: leave out --" + option.replace("_", "-")
            )
    return arguments


@report_errors
def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["imagenet"]:
        require("scipy", "sklearn")
        return imagenet_command.main(words[1:])
    arguments = _arguments(words)
    require("matplotlib", "scipy", "sklearn")
    from catloader.bulk.plan import Plan
    from catloader.cli.bulk.run import folder_of
    from catloader.cli.models.labelled_photos import open_photos
    from catloader.settings import Settings
    from checker.decision.operating_point import SHIPPED_PROFILES
    from scripts.accuracy.gate import REGRESSION, load_gate, regressions
    from scripts.accuracy.report.photo_table import photo_table
    from scripts.accuracy.report.report import report
    from scripts.accuracy.report.text import table
    from scripts.accuracy.run import Request, run
    from scripts.accuracy.scores.from_run import open_run_photos

    gate = load_gate(arguments.gate) if arguments.gate else {}
    settings = Settings.from_environment()
    cat_classes = arguments.cat_classes.split(",")
    runs = {name: Plan(folder_of(settings, name)) for name in arguments.from_run.split(",") if name}
    request = Request(
        data=arguments.data,
        cat_classes=cat_classes,
        variants={} if runs else named_variants(arguments, settings),
        runs=runs,
        weights_dir=arguments.weights_dir or settings.weights_dir,
        subject=arguments.subject,
        max_fpr=arguments.max_fpr,
        max_fnr=arguments.max_fnr,
        profile_folders=arguments.profiles or [settings.data_dir / "profiles", SHIPPED_PROFILES],
        cache_folder=arguments.cache,
        resume=arguments.resume,
        corrupted=arguments.corruptions,
        moved=arguments.positions,
    )
    first = next(iter(runs.values()), None)
    opened = open_run_photos(first, settings) if first else open_photos(arguments.data, settings, cat_classes)
    with opened as photos:
        for variant in request.variants.values():
            variant.resolve()
        result, compared = run(request)
        print(table(result))
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        written = [arguments.json, arguments.html]
        arguments.html.write_text(report(result, compared, photos), encoding="utf-8")
        if arguments.csv:
            arguments.csv.write_text(photo_table(compared), encoding="utf-8")
            written.append(arguments.csv)
    print(f"written to {', '.join(map(str, written))}")
    broken = regressions(result, gate)
    for sentence in broken:
        print(f"REGRESSION {sentence}", file=sys.stderr)
    return REGRESSION if broken else 0


if __name__ == "__main__":
    sys.exit(main())
