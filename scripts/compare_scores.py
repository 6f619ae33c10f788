"""Compare candidate scores on photos on which they were not fitted.

    python scripts/compare_scores.py DATA [--model efficientnet_lite0] [--repeats 4] [--json FILE]

The result is the mean over repeats of a stratified cross-validation. The decision that is based on this
comparison is docs/decisions/0002-the-score.md.
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
    parser.add_argument("data", help="folder, labels.csv, or 'database'")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights-dir", type=Path, metavar="FOLDER", help="default: CATCHECK_WEIGHTS_DIR")
    parser.add_argument("--subject", default="house_cat")
    parser.add_argument("--repeats", type=number(int, 1, 1000), default=4)
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("scipy", "sklearn")
    from catloader.cli.models.labelled_photos import open_photos
    from catloader.settings import Settings
    from checker.decision.subject import load_subject
    from checker.evaluation.examples import Examples
    from checker.evaluation.measure import measure
    from checker.evaluation.photos import enough_of_both
    from checker.evaluation.provenance import provenance
    from checker.evaluation.variants import NamedVariant
    from scripts.comparisons.scores import FOLDS, compare

    settings = Settings.from_environment()
    weights_dir = arguments.weights_dir or settings.weights_dir
    variant = NamedVariant(arguments.model, precision="fp32", weights_dir=weights_dir)
    with open_photos(arguments.data, settings) as photos:
        enough_of_both(photos, FOLDS)
        classifier = variant.load()
        measured = measure(photos, classifier)
    examples = Examples.of(load_subject(arguments.subject), measured)
    scores = compare(examples, arguments.repeats, lambda line: print(line, flush=True))
    if arguments.json:
        result = {
            **provenance(),
            "model": classifier.model_info.model,
            "repeats": arguments.repeats,
            "folds": FOLDS,
            "data": measured.data,
            "scores": scores,
        }
        write_result(arguments.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
