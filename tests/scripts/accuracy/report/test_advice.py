from __future__ import annotations

from dataclasses import asdict

from checker.evaluation.intervals import rate
from checker.evaluation.statistics import photos_to_tell
from scripts.accuracy.report.advice import advice


def test_kinds_with_too_few_photos_get_the_number_of_missing_ones() -> None:
    enough = photos_to_tell(0.005, 0.01)
    kinds = {
        "cat": {"recall": asdict(rate(0, 9))},
        "dog": {"false_positive_rate": asdict(rate(0, enough))},
        "plush": {"false_positive_rate": asdict(rate(0, 22))},
    }
    start = f"To tell a false positive rate of 0.5 % from 1 % you need {enough} photos of a kind"
    assert advice(kinds) == f"{start}: {enough - 22} more of plush."
    del kinds["plush"]
    assert advice(kinds) == f"{start}; here are as many of each."
