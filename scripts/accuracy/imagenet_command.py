"""``benchmark_accuracy.py imagenet DIR``: top-1 and top-5 of models on ImageNet's validation photos.

DIR contains a folder for each class, named by WordNet ID or class name, files such as
n02328150_Angora.JPEG, or Kaggle's files with LOC_val_solution.csv among or above them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.accuracy.options import add_variant_options, named_variants
from scripts.command_line import new_file, write_result


def main(argv: list[str]) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="benchmark_accuracy.py imagenet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    add_variant_options(parser)
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    from catloader.settings import Settings
    from checker.evaluation.provenance import provenance
    from scripts.accuracy.imagenet import accuracy, as_text, validation_photos

    photos = validation_photos(arguments.folder)
    variants = named_variants(arguments, Settings.from_environment())
    for variant in variants.values():
        variant.resolve()
    models = {name: accuracy(photos, variant) for name, variant in variants.items()}
    result = {**provenance(), "models": models}
    print(as_text(result))
    write_result(arguments.json, result)
    return 0
