"""The CSV file of the accuracy benchmark: one row for each photo and model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from models.catalogue import class_names
from scripts.accuracy.breakdown import verdicts_of_all
from scripts.accuracy.run import Compared

COLUMNS = (
    "file", "label", "kind", "model", "profile", "score", "verdict", "wild_feline", "soft", "vetoed",
    "top_class", "best_cat_confidence", "width_px", "height_px", "sharpness", "brightness", "colour",
)  # fmt: skip


def photo_table(compared: Iterable[Compared]) -> str:
    """Return the table as CSV, with the scores of the report, which may be cross-validated."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in compared:
        scores, catloader = one.scores, one.rules[0]
        judged = iter(catloader.scores)
        for name, label, kind, row, wild, verdict in zip(
            scores.names, scores.labels, scores.kinds, scores.rows, scores.wild,
            verdicts_of_all(scores, catloader), strict=True,
        ):  # fmt: skip
            facts = row.facts
            table.writerow(
                [
                    name, label, kind, one.name, one.result["profile_id"],
                    f"{row.score if wild else next(judged):.6f}", verdict, row.wild,
                    row.soft, row.vetoed, class_names()[row.top], f"{row.best:.6f}",
                    facts.width_px, facts.height_px, facts.sharpness, facts.brightness, facts.colour,
                ]
            )  # fmt: skip
    return out.getvalue()
