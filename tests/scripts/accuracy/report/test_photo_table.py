from __future__ import annotations

import csv

from checker.decision.subject import SUBJECTS
from scripts.accuracy.report.photo_table import photo_table
from scripts.accuracy.rules import rules
from scripts.accuracy.run import Compared
from tests.scripts.accuracy.made_up import photo_score, scores_of


def test_a_row_gives_the_reason_if_a_high_score_is_not_called_cat() -> None:
    rows = [photo_score(0.9), photo_score(0.4, soft=True), photo_score(0.9, vetoed=True)]
    scores = scores_of(["cat", "cat", "not_cat"], rows)
    rule = rules(scores, SUBJECTS["house_cat"], 0.01, 0.01)[0]
    table = photo_table([Compared("efficientnet_lite0", scores, [rule], {"profile_id": "p"})])
    shown = [(row["verdict"], row["soft"], row["vetoed"]) for row in csv.DictReader(table.splitlines())]
    assert shown[0] == ("cat", "False", "False")
    assert shown[1][1:] == ("True", "False")
    assert shown[2] == ("unsure", "False", "True")
