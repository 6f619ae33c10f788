"""Compare settings for int8 quantisation: distance from fp32, and results with and without VNNI.

    python scripts/compare_int8.py DATA [--model efficientnet_lite0] [--json FILE]

Photos spread over DATA are used for calibration; all others are evaluated, on this processor and restricted
to AVX2. The decision that is based on this comparison is docs/decisions/0003-openvino.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from scripts.command_line import new_file, number, report_errors, require, write_result


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="labelled photos, as for scripts/benchmark_accuracy.py")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights-dir", type=Path, metavar="FOLDER", help="default: CATCHECK_WEIGHTS_DIR")
    parser.add_argument(
        "--calibration", type=number(int, 1, 100_000), default=300, metavar="N", help="photos for calibration"
    )
    parser.add_argument(
        "--judged",
        type=number(int, 0, 10_000_000),
        default=0,
        metavar="N",
        help="number of other photos to evaluate, at least 9; 0: all",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    require("nncf", "openvino", "torch")
    from checker.evaluation.provenance import machine_kind, provenance

    result = {**provenance(), **_measure(arguments)}
    print(machine_kind(result["machine"]))
    print(_table(result["settings"]))
    write_result(arguments.json, result)
    return 0


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    from models.openvino_package import prepare_import

    prepare_import()
    import nncf
    import openvino

    from catloader.settings import Settings
    from checker.decision.subject import load_subject
    from checker.evaluation.data_sets.read import labelled_photos
    from checker.evaluation.photos import decoded_apart, describe, distinct_photos
    from checker.pixels.decode import decode
    from checker.values import Rendition
    from models.catalogue import resolve
    from models.optimise import optimise
    from scripts.comparisons import int8

    weights_dir = arguments.weights_dir or Settings.from_environment().weights_dir
    entry, path = resolve(arguments.model, weights_dir)
    with decoded_apart(distinct_photos(labelled_photos(arguments.data))) as photos:
        calibrating, evaluated = int8.split(len(photos), arguments.calibration, arguments.judged)
        files = [photo.read()[Rendition.PHOTO] for photo in photos]
    pixels = np.stack([decode(file, entry.preprocessing) for file in files])
    judged = pixels[evaluated]
    subject = list(load_subject("house_cat").classes)
    settings: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "photos.npy", judged)
        source = optimise(entry, path, folder, "fp32").path
        fp32, ms = int8.logits(source, folder / "photos.npy", folder, held_back=False)
        held, held_ms = int8.logits(source, folder / "photos.npy", folder, held_back=True)
        settings["fp32"] = {**int8.compare(fp32, fp32, held, subject), "ms_here": ms, "ms_held": held_ms}
        for title, run in int8.settings(nncf).items():
            made = run(openvino.Core().read_model(source), pixels[calibrating])
            openvino.save_model(made, folder / "int8.xml", compress_to_fp16=False)
            here, ms = int8.logits(folder / "int8.xml", folder / "photos.npy", folder, held_back=False)
            held, held_ms = int8.logits(folder / "int8.xml", folder / "photos.npy", folder, held_back=True)
            settings[title] = {**int8.compare(fp32, here, held, subject), "ms_here": ms, "ms_held": held_ms}
    return {
        "model": entry.name,
        "data": describe(photos, [hashlib.sha256(file).hexdigest() for file in files]),
        "calibration_photos": len(calibrating),
        "judged_photos": len(judged),
        "settings": settings,
    }


def _table(settings: dict[str, dict[str, float]]) -> str:
    lines = [f"{'':36} between processors   as fp32 (top-1)     rms of logits     ms/photo"]
    for title, figures in settings.items():
        lines.append(
            f"{title:36} {figures['largest_difference_between_processors']:18.4f}"
            f" {figures['top1_as_fp32_here']:8.1%} {figures['top1_as_fp32_held']:8.1%}"
            f" {figures['rms_of_logits_here']:8.3f} {figures['rms_of_logits_held']:8.3f}"
            f" {figures['ms_here']:6.2f} {figures['ms_held']:6.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
