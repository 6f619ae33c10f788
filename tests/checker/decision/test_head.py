from __future__ import annotations

import numpy as np
import pytest

from checker.decision.head import BEYOND, KNEE, Head


def combined(whole: float, window: float) -> float:
    return float(Head().combined(np.array(whole), np.array(window)))


def test_the_whole_photo_decides_if_its_score_is_higher() -> None:
    assert combined(2.0, 1.0) == 2.0


def test_a_window_counts_fully_up_to_the_knee() -> None:
    assert combined(-9.0, KNEE - 1.0) == KNEE - 1.0


def test_a_window_must_be_far_more_certain_than_the_whole_for_the_same_score() -> None:
    assert combined(-9.0, 7.0) == pytest.approx(KNEE + BEYOND * (7.0 - KNEE))
    assert combined(-9.0, 7.0) < 1.0


def test_a_profile_stores_the_weight_of_windows() -> None:
    head = Head(knee=-1.5, beyond=0.25, slope=2.0, bias=0.5)
    restored = Head.from_json(head.to_json())
    assert (restored.knee, restored.beyond, restored.slope, restored.bias) == (-1.5, 0.25, 2.0, 0.5)
