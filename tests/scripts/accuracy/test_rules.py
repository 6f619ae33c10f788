from __future__ import annotations

import numpy as np

from checker.decision.operating_point import DEFAULT_THRESHOLDS
from checker.decision.subject import SUBJECTS
from scripts.accuracy.rules import CATLOADER, OTHERS, TOP_1, rules
from tests.scripts.accuracy.made_up import TABBY, photo_score, scores_of

HOUSE_CAT = SUBJECTS["house_cat"]
WOLF, LYNX = 269, 287


def test_each_rule_gives_its_programs_verdicts() -> None:
    rows = [
        photo_score(0.9, best=0.45, top=TABBY),  # no single class reaches 0.8, but their sum does
        photo_score(0.85, best=0.85, top=TABBY),
        photo_score(0.2, best=0.2, top=WOLF),
        photo_score(0.001, best=1e-6, top=WOLF),
        photo_score(0.9, best=0.4, top=LYNX, wild=True, vetoed=True),
    ]
    scores = scores_of(["cat", "cat", "cat", "not_cat", "wild_feline"], rows)
    applied = rules(scores, HOUSE_CAT, 0.01, 0.01)
    verdicts = {rule.name: (rule.verdicts.tolist(), rule.wild_verdicts.tolist()) for rule in applied}
    cloud, photoprism, recognize = OTHERS
    assert verdicts == {
        CATLOADER: (["cat", "cat", "unsure", "not_cat"], ["unsure"]),
        cloud: (["not_cat", "cat", "not_cat", "not_cat"], ["not_cat"]),
        photoprism: (["cat", "cat", "not_cat", "not_cat"], ["cat"]),
        recognize: (["cat", "cat", "cat", "not_cat"], ["cat"]),
        TOP_1: (["cat", "cat", "not_cat", "not_cat"], ["not_cat"]),
    }


def test_rules_of_other_programs_are_named_after_them() -> None:
    for name, threshold in OTHERS.items():
        assert name.startswith(f"threshold {threshold}, as ")
        assert name.endswith(", on this model")


def test_cross_validated_scores_replace_those_of_the_served_head() -> None:
    """A wild feline keeps its score, because it was not used in the fit."""
    rows = [photo_score(0.9), photo_score(0.9, vetoed=True), photo_score(0.9, vetoed=True)]
    held_out = np.array([0.01, DEFAULT_THRESHOLDS.cat_at])
    scores = scores_of(["cat", "wild_feline", "cat"], rows, held_out=held_out)
    catloader = rules(scores, HOUSE_CAT, 0.01, 0.01)[0]
    assert catloader.scores.tolist() == held_out.tolist()
    assert (catloader.verdicts.tolist(), catloader.wild_verdicts.tolist()) == (
        ["not_cat", "unsure"],
        ["unsure"],
    )


def test_a_soft_photo_is_a_cat_only_above_a_separate_threshold() -> None:
    at, soft_at = DEFAULT_THRESHOLDS.cat_at, DEFAULT_THRESHOLDS.soft_cat_at
    rows = [
        photo_score(at),
        photo_score(at, soft=True),
        photo_score(soft_at, soft=True),
        photo_score(0.001, soft=True),
    ]
    scores = scores_of(["cat", "cat", "cat", "not_cat"], rows)
    catloader = rules(scores, HOUSE_CAT, 0.01, 0.01)[0]
    assert catloader.verdicts.tolist() == ["cat", "unsure", "cat", "not_cat"]
