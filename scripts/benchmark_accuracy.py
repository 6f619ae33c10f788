"""Compare networks on labelled photos: a table, a JSON, and a self-contained HTML report.

    python scripts/benchmark_accuracy.py DATA --models efficientnet_lite0,efficientnet_lite2 [--gate FILE]

A name alone means torch's form, fp32 on a CPU; a site takes the fastest form that holds its rates.
Each network is judged by our rule and, on the very same activations, by the rules of other programs. Where a
network's profile was fitted on these very photos, our scores are those of its cross-validation.

Exit codes: 0 done; 2 could not run; 3 a limit of the gate is not held.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import Profile, ProfileKey, find_profile
from checker.decision.subject import Subject, load_subject
from checker.evaluation.provenance import ROOT, provenance
from checker.evaluation.statistics import (
    auc,
    expected_calibration_error,
    mcnemar,
    rate,
    recall,
    recall_at_fpr,
    reliability,
)
from checker.runtimes.load import load_classifier
from checker.values import ModelInfo
from models.catalogue import entry_named, resolve
from scripts._forms import PRECISIONS, must_exist
from scripts._measure import Measured, measure
from scripts._photos import labelled_photos
from scripts.accuracy.gate import REGRESSION, load_gate, regressions
from scripts.accuracy.report import Compared, report
from scripts.accuracy.rules import OURS, Rule, rules
from scripts.command_line import CannotRun, new_file, report_errors

TARGETS = (0.003, 0.005, 0.01, 0.02, 0.05)


def form_of(model: str, asked: argparse.Namespace) -> tuple[str, str, str]:
    """Name, runtime and precision of ``NAME`` or ``NAME@RUNTIME-PRECISION``."""
    name, _, form = model.partition("@")
    runtime, _, precision = form.partition("-")
    return name, runtime or asked.runtime, precision or asked.precision


def measure_alone(model: str, asked: argparse.Namespace) -> tuple[Measured, ModelInfo]:
    """In a process of its own, so that its peak memory is its own."""
    name, runtime, precision = form_of(model, asked)
    entry, path = resolve(name, asked.weights_dir)
    classifier = load_classifier(
        entry,
        path,
        device=asked.device,
        runtime=runtime,
        precision=precision,
        threads=asked.threads,
        weights_dir=asked.weights_dir,
    )
    return measure(labelled_photos(asked.data), classifier), classifier.model_info


def judged(rule: Rule, positive: np.ndarray[Any, np.dtype[np.bool_]], n_wild: int) -> dict[str, Any]:
    """Confusion matrix and rates of one rule."""
    hit, missed = int((rule.called & positive).sum()), int((~rule.called & positive).sum())
    wrong, right = int((rule.called & ~positive).sum()), int((~rule.called & ~positive).sum())
    return {
        "confusion": {
            "cat_as_cat": hit,
            "cat_as_other": missed,
            "other_as_cat": wrong,
            "other_as_other": right,
        },
        "recall": asdict(recall(missed, hit + missed)),
        "false_positive_rate": asdict(rate(wrong, wrong + right)),
        "wild_felines_called_cat": {"n": n_wild, "errors": rule.wild_called},
    }


def compared(
    name: str, measured: Measured, model_info: ModelInfo, subject: Subject, asked: argparse.Namespace
) -> tuple[Compared, dict[str, Any]]:
    """For the report, and for the JSON."""
    key = ProfileKey.of(model_info, entry_named(model_info.model).preprocessing, subject)
    profile: Profile | None = find_profile(key, asked.profiles)
    made, held_out = rules(measured, subject, profile, asked.max_fpr, asked.max_fnr)
    positive = measured.positive[~measured.wild]
    ours = made[0]
    as_served = f"as with CATCHECK_RUNTIME={model_info.runtime} and CATCHECK_PRECISION={model_info.precision}"
    result: dict[str, Any] = {
        "model_info": {**asdict(model_info), "versions": dict(model_info.versions)},
        "profile_id": profile.profile_id if profile else "uncalibrated",
        "scores": "cross-validated: the profile was fitted on these photos" if held_out else as_served,
        "thresholds": asdict(ours.thresholds) if ours.thresholds else None,
        "auc": auc(ours.scores, positive),
        "ece": expected_calibration_error(ours.scores, positive),
        "reliability": reliability(ours.scores, positive),
        "recall_at_fpr": {f"{t:g}": asdict(recall_at_fpr(ours.scores, positive, t)) for t in TARGETS},
        "rules": {rule.name: judged(rule, positive, int(measured.wild.sum())) for rule in made},
        "photos_per_s": round(measured.photos_per_s, 1),
        "peak_bytes": measured.peak_bytes,
    }
    return Compared(name, measured, made, profile, result), result


def table(result: dict[str, Any]) -> str:
    lines = [f"{'network':34}{'rule':38}{'recall':>8}  {'95 %':15}{'FPR':>7}  {'95 %':15}{'wild':>5}"]
    for name, model in result["models"].items():
        for rule, row in model["rules"].items():
            found, wrong = row["recall"], row["false_positive_rate"]
            lines.append(
                f"{name:34}{rule:38}{found['rate']:8.2%}  {found['low']:6.2%}-{found['high']:<7.2%} "
                f"{wrong['rate']:7.2%}  {wrong['low']:6.2%}-{wrong['high']:<7.2%} "
                f"{row['wild_felines_called_cat']['errors']:5d}"
            )
        fixed = "  ".join(f"{float(t):.1%}: {row['rate']:.2%}" for t, row in model["recall_at_fpr"].items())
        lines.append(f"  recall at a false positive rate of  {fixed}")
        lines.append(
            f"  AUC {model['auc']:.5f}  ECE {model['ece']:.4f}  {model['photos_per_s']} photos/s  "
            f"peak {model['peak_bytes'] / 2**20:.0f} MiB  {model['profile_id']}, {model['scores']}"
        )
    lines += [
        f"McNemar, {pair['first']} against {pair['second']}: only the first is right {pair['only_first']} "
        f"times, only the second {pair['only_second']}; p = {pair['p']:.3f}"
        for pair in result["mcnemar"]
    ]
    return "\n".join(lines)


def run(asked: argparse.Namespace) -> tuple[dict[str, Any], list[Compared]]:
    subject = load_subject(asked.subject)
    models: dict[str, Any] = {}
    shown: list[Compared] = []
    for name in asked.models.split(","):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            try:
                measured, model_info = child.submit(measure_alone, name, asked).result()
            except BrokenProcessPool:
                raise CannotRun(f"{name}: its process was killed, perhaps for want of memory") from None
        for_report, models[name] = compared(name, measured, model_info, subject, asked)
        shown.append(for_report)
    pairs = []
    for first, second in combinations(shown, 2):
        positive = first.positive
        right = [one.rules[0].called == positive for one in (first, second)]
        pairs.append({"first": first.name, "second": second.name, "rule": OURS, **mcnemar(*right)})
    data = shown[0].measured.data
    return {**provenance(), "subject": subject.name, "data": data, "models": models, "mcnemar": pairs}, shown


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", help="folder, labels.csv, or 'database'")
    parser.add_argument(
        "--models",
        default="efficientnet_lite0",
        help="names, separated by commas; NAME@openvino-int8 is that form of it "
        "(default: %(default)s, that is --runtime and --precision)",
    )
    parser.add_argument("--weights-dir", type=Path, default=Path("models/weights"))
    parser.add_argument("--subject", default="house_cat")
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--runtime", default="torch", choices=("torch", "openvino"))
    parser.add_argument("--precision", default="auto", choices=("auto", *PRECISIONS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-fpr", type=float, default=0.01)
    parser.add_argument("--max-fnr", type=float, default=0.01)
    parser.add_argument(
        "--profiles", type=Path, nargs="*", default=[Path("data/profiles"), SHIPPED_PROFILES], help="folders"
    )
    results = ROOT / "scripts" / "results"
    parser.add_argument(
        "--json",
        type=new_file,
        metavar="FILE",
        default=str(results / "accuracy.json"),
        help="every figure (default: %(default)s)",
    )
    parser.add_argument(
        "--html",
        type=new_file,
        metavar="FILE",
        default=str(results / "tmp" / "accuracy.html"),
        help="the report; it shows photos: not to be committed (default: %(default)s)",
    )
    parser.add_argument("--gate", type=Path, help="JSON of limits; exit code 3 where one is not held")
    return parser.parse_args(argv)


@report_errors
def main(argv: list[str] | None = None) -> int:
    asked = _arguments(argv)
    gate = load_gate(asked.gate) if asked.gate else {}
    photos = labelled_photos(asked.data)
    for model in asked.models.split(","):
        name, runtime, precision = form_of(model, asked)
        resolve(name, asked.weights_dir)
        must_exist(runtime, precision)
    result, shown = run(asked)
    print(table(result))
    asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    asked.html.write_text(report(result, shown, photos), encoding="utf-8")
    print(f"written to {asked.json} and {asked.html}")
    fallen = regressions(result, gate)
    for sentence in fallen:
        print(f"REGRESSION {sentence}", file=sys.stderr)
    return REGRESSION if fallen else 0


if __name__ == "__main__":
    sys.exit(main())
