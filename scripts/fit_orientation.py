"""Fit how a model recognises turned photos, and write ``models/orientation/MODEL.json``.

    python scripts/fit_orientation.py DATA [--model efficientnet_lite0] [--out FOLDER]

The photos of DATA must be upright. Each is measured in all four orientations, and with its augmentations.
The fit, a head and its thresholds are judged by cross-validation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.command_line import report_errors, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checker.evaluation.photos import LabelledPhoto
    from checker.evaluation.variants import NamedVariant

_SEED = 20


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="labelled photos, as for scripts/benchmark_accuracy.py")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--weights-dir", type=Path, metavar="FOLDER", help="default: CATCHECK_WEIGHTS_DIR")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: models/orientation")
    arguments = parser.parse_args(argv)
    require("sklearn")
    from catloader.cli.models.labelled_photos import open_photos
    from catloader.settings import Settings
    from checker.decision.orientation import FOLDER
    from checker.evaluation.photos import enough_of_both
    from checker.evaluation.variants import NamedVariant

    settings = Settings.from_environment()
    variant = NamedVariant(
        arguments.model,
        arguments.runtime,
        arguments.precision,
        threads=2,
        weights_dir=arguments.weights_dir or settings.weights_dir,
    )
    folder = arguments.out or FOLDER
    with open_photos(arguments.data, settings) as photos:
        enough_of_both(photos)
        folder.mkdir(parents=True, exist_ok=True)  # fail now, not after the minutes that measuring takes
        result = _fitted(photos, variant)
    print(json.dumps(result["made"]["judged"], indent=2))
    path = folder / f"{arguments.model}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return 0


def _fitted(photos: Sequence[LabelledPhoto], variant: NamedVariant) -> dict[str, Any]:
    from checker.decision.operating_point import SHIPPED_PROFILES
    from checker.decision.profile import profiles_in
    from checker.decision.subject import load_subject
    from checker.evaluation.provenance import provenance
    from scripts.orientation.fit import MARGIN, cross_fit, figures, orientation_fit, turned_above
    from scripts.orientation.measure import measure_orientations

    classifier = variant.load()
    measured = measure_orientations(photos, classifier, load_subject("house_cat"))
    held_out = cross_fit(measured, _SEED)
    info = classifier.model_info
    same_model = (profile.key for profile in profiles_in(SHIPPED_PROFILES) if profile.model == info.model)
    return {
        "weights_sha256": sorted({info.weights_sha256, *(key.weights_sha256 for key in same_model)}),
        "turned_at": turned_above(measured.upright, held_out),
        "margin": MARGIN,
        "linear": orientation_fit(measured).to_json(),
        "made": {
            **provenance(),
            "model": info.model,
            "runtime": info.runtime,
            "precision": info.precision,
            "versions": dict(info.versions),
            "data": measured.data,
            "judged": figures(measured, held_out),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
