from __future__ import annotations

import csv
from pathlib import Path

import pytest

from checker.decision.subject import SUBJECTS
from checker.evaluation.data_sets.read import labelled_photos
from scripts.accuracy.report.photo_table import COLUMNS, photo_table
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


@pytest.mark.parametrize("name", ["scores.csv", "scores.tsv"])
def test_a_table_in_the_folder_of_the_photos_is_not_taken_for_their_labels(tmp_path: Path, name: str) -> None:
    """It has the photos and labels of an earlier run; new photos would be left out without a word."""
    for label in ("cat", "not_cat"):
        (tmp_path / label).mkdir()
        for photo in ("a.jpg", "new.jpg"):
            (tmp_path / label / photo).touch()
    rows = [[f"{label}/a.jpg", label, *COLUMNS[2:]] for label in ("cat", "not_cat")]
    with (tmp_path / name).open("w") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    assert [photo.name for photo in labelled_photos(tmp_path)] == [
        "cat/a.jpg", "cat/new.jpg", "not_cat/a.jpg", "not_cat/new.jpg",
    ]  # fmt: skip
    assert len(labelled_photos(tmp_path / name)) == 2, "a table that is named itself is read"
