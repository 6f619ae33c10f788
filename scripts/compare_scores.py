"""Which score separates best? Candidates side by side, on photos that had no part in fitting them.

    python scripts/compare_scores.py DATA [--model efficientnet_lite0] [--repeats 4] [--json FILE]

Repeated stratified cross-validation; the mean over the repeats. The decision that rests on it:
docs/decisions/0002-the-score.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checker.decision.head import sigmoid
from checker.decision.subject import load_subject
from checker.evaluation.fit import Doubles, Flags, Inputs, fit, stratified_folds
from checker.evaluation.provenance import provenance
from checker.evaluation.statistics import auc, recall_at_fpr
from checker.runtimes.load import load_classifier
from models.catalogue import resolve
from scripts._measure import measure
from scripts._photos import CAT, NOT_CAT, NoData, labelled_photos
from scripts.command_line import new_file, report_errors

TARGETS = (0.003, 0.01, 0.02)
FOLDS = 5
Score = Callable[[Inputs, Flags, Inputs], Doubles]
"""(photos to fit on, their labels, photos to judge) -> logits of the latter."""


def _fitted(**options: Any) -> Score:
    return lambda train, labels, test: test.logits(fit(train, labels, **options))


def _one_view(view: int, score: Score) -> Score:
    """As if both stored pictures were this one."""

    def seen(inputs: Inputs) -> Inputs:
        features = (inputs.photo, inputs.thumbnail)[view]
        return Inputs(np.repeat(inputs.odds[:, [view]], 2, axis=1), features, features)

    return lambda train, labels, test: score(seen(train), labels, seen(test))


CANDIDATES: dict[str, Score] = {
    "softmax mass, photo": lambda _train, _labels, test: test.odds[:, 0],
    "softmax mass, thumbnail": lambda _train, _labels, test: test.odds[:, 1],
    "softmax mass, better of both": lambda _train, _labels, test: test.odds.max(axis=1),
    "softmax mass, mean log-odds of both": lambda _train, _labels, test: test.odds.mean(axis=1),
    "softmax mass, two fitted weights": _fitted(features=False),
    "probe, photo": _one_view(0, _fitted(features=True, single_renditions=False)),
    "probe, thumbnail": _one_view(1, _fitted(features=True, single_renditions=False)),
    "probe, both": _fitted(features=True, single_renditions=False),
    "probe, both, fitted on each view alone too": _fitted(features=True),
    "  ... penalty 10": _fitted(features=True, penalty=10.0),
    "  ... penalty 100": _fitted(features=True, penalty=100.0),
}


def compare(inputs: Inputs, positive: Flags, repeats: int) -> dict[str, dict[str, float]]:
    """Means over the repeats, by candidate."""
    rows = {}
    for name, score in CANDIDATES.items():
        found = []
        for seed in range(repeats):
            logits = np.empty(len(positive))
            for train, test in stratified_folds(positive, FOLDS, seed):
                logits[test] = score(inputs[train], positive[train], inputs[test])
            probabilities = sigmoid(logits)
            loss = float(-np.log(np.where(positive, probabilities, 1 - probabilities).clip(1e-12)).mean())
            figures = [auc(logits, positive), loss]
            found.append(figures + [recall_at_fpr(logits, positive, target).rate for target in TARGETS])
        names = ["auc", "log_loss", *(f"recall_at_fpr_{target:g}" for target in TARGETS)]
        rows[name] = dict(zip(names, (float(x) for x in np.mean(found, axis=0)), strict=True))
        print(f"{name:46}" + "  ".join(f"{key} {value:.5f}" for key, value in rows[name].items()), flush=True)
    return rows


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", help="folder, labels.csv, or 'database'")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights-dir", type=Path, default=Path("models/weights"))
    parser.add_argument("--subject", default="house_cat")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure there")
    asked = parser.parse_args(argv)
    photos = labelled_photos(asked.data)
    counts = Counter(photo.label for photo in photos)
    if min(counts[CAT], counts[NOT_CAT]) < FOLDS:
        raise NoData(f"{asked.data}: {FOLDS} folds need {FOLDS} photos of either label; found {dict(counts)}")
    entry, path = resolve(asked.model, asked.weights_dir)
    classifier = load_classifier(entry, path, device="cpu", runtime="torch", precision="fp32")
    measured = measure(photos, classifier)
    known = ~measured.wild
    inputs = Inputs.of(load_subject(asked.subject), measured.evidence[known])
    rows = compare(inputs, measured.positive[known], asked.repeats)
    if asked.json:
        about = {"model": entry.name, "repeats": asked.repeats, "folds": FOLDS, "data": measured.data}
        found = {**provenance(), **about, "scores": rows}
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(f"written to {asked.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
