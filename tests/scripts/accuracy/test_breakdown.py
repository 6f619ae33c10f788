from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from checker.decision.subject import SUBJECTS
from scripts.accuracy.breakdown import by_kind, by_slice, by_variation
from scripts.accuracy.rules import CATLOADER, Rule, rules
from scripts.accuracy.scores.facts import SLICES, slice_of
from scripts.accuracy.scores.scores import Scores
from tests.scripts.accuracy.made_up import FACTS, photo_score, scores_of


def ruled(scores: Scores) -> Rule:
    return rules(scores, SUBJECTS["house_cat"], 0.01, 0.01)[0]


def test_rates_are_reported_for_each_kind_cats_first_then_by_number() -> None:
    labels = ["cat"] * 3 + ["not_cat"] * 5 + ["wild_feline"]
    kinds = ["cat"] * 3 + ["thing or scene", "dog", "dog", "dog", "cat"] + ["wild feline"]
    rows = [photo_score(score) for score in (0.9, 0.3, 0.001, 0.001, 0.9, 0.3, 0.001, 0.001)]
    scores = scores_of(labels, [*rows, photo_score(0.9, vetoed=True)], kinds)
    table = by_kind(scores, ruled(scores))
    assert list(table) == ["cat", "dog", "cat (not_cat)", "thing or scene", "wild feline"]
    assert (table["cat"]["recall"]["n"], table["cat"]["recall"]["errors"]) == (3, 2)
    assert (table["cat"]["false_negative_rate"]["errors"], table["cat"]["unsure"]) == (1, 1)
    assert "false_positive_rate" not in table["cat"]
    dogs = table["dog"]["false_positive_rate"]
    assert (dogs["n"], dogs["errors"], table["dog"]["unsure"]) == (3, 1, 1)
    assert dogs["low"] == pytest.approx(0.0615, abs=1e-4)  # Wilson, 1 of 3
    assert dogs["high"] == pytest.approx(0.7923, abs=1e-4)
    assert table["wild feline"]["false_positive_rate"]["errors"] == 0


def test_slices_exclude_empty_ranges_and_wild_felines() -> None:
    soft = replace(FACTS, sharpness=3.0)
    rows = [photo_score(0.9), photo_score(0.9, facts=soft), photo_score(0.9, facts=soft, vetoed=True)]
    scores = scores_of(["cat", "not_cat", "wild_feline"], rows)
    table = by_slice(scores, ruled(scores))
    assert set(table) == set(SLICES)
    assert list(table["sharpness"]) == ["soft (below 15)", "15 to 30"]
    row = table["sharpness"]["soft (below 15)"]
    assert (row["false_positive_rate"]["errors"], row["false_positive_rate"]["n"]) == (1, 1)
    assert table["colour"]["coloured"]["recall"]["n"] == 1


@pytest.mark.parametrize(
    ("name", "facts", "title"),
    [
        ("shorter side", replace(FACTS, width_px=900, height_px=199), "below 200 px"),
        ("shorter side", replace(FACTS, width_px=200, height_px=900), "200 to 399 px"),
        ("aspect", replace(FACTS, width_px=100, height_px=300), "longer"),
        ("aspect", replace(FACTS, width_px=100, height_px=100), "up to 1.2 : 1"),
        ("brightness", replace(FACTS, brightness=255.0), "bright (150 and more)"),
        ("colour", replace(FACTS, colour=0.0), "grey (below 8)"),
    ],
)
def test_a_range_includes_its_lower_end(name: str, facts: object, title: str) -> None:
    assert slice_of(name, facts) == title  # type: ignore[arg-type]


def test_variations_are_grouped_by_family() -> None:
    def changed(score: float) -> tuple[Scores, Rule]:
        verdict = np.array(["cat" if score > 0.5 else "not_cat"])
        scores = scores_of(["cat"], [photo_score(score)])
        return scores, Rule(CATLOADER, np.array([score]), verdict, verdict[:0])

    table = by_variation(
        {("blur", "1"): changed(0.9), ("blur", "2"): changed(0.1), ("JPEG", "25"): changed(0.9)}
    )
    assert {family: list(rows) for family, rows in table.items()} == {"blur": ["1", "2"], "JPEG": ["25"]}
    assert [row["recall"]["rate"] for row in table["blur"].values()] == [1, 0]
