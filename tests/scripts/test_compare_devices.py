"""The comparison of devices, with this machine's processor in the place of a GPU unless it has one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from checker.evaluation.photos import CAT, LabelledPhoto
from models.catalogue import default_weights_dir
from scripts.command_line import CannotRun
from scripts.comparisons.devices import TF32_OFF, as_text, compare
from tests.support.photo_sets import PhotoSet

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def few(photo_set: PhotoSet) -> list[LabelledPhoto]:
    photos = photo_set.photos
    cats = [photo for photo in photos if photo.label == CAT][:4]
    others = [photo for photo in photos if photo.label != CAT][:4]
    return cats + others


def test_less_precision_moves_scores_by_less_than_the_tolerance(few: list[LabelledPhoto]) -> None:
    figures = compare(few, "efficientnet_lite0", default_weights_dir(), DEVICE)
    assert sum(figures["data"]["counts"].values()) == len(few)
    rows = figures["variants"]
    exact = rows[TF32_OFF]["rms_of_logits"]
    assert exact < 1e-3
    if DEVICE == "cpu":
        assert exact == 0
    assert exact < rows["bf16"]["rms_of_logits"] < 0.3
    for row in rows.values():
        assert row["rms_of_scores"] <= row["largest_score_difference"] <= figures["score_tolerance"]
        assert row["cat_to_not_cat"] == 0
    assert all(name in as_text(figures) for name in rows)


def test_tf32_is_as_it_was_afterwards(few: list[LabelledPhoto]) -> None:
    before = torch.backends.cudnn.allow_tf32
    compare(few[:1] + few[-1:], "efficientnet_lite0", default_weights_dir(), DEVICE)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(DEVICE == "cuda", reason="this machine has a GPU")
def test_without_a_gpu_one_sentence_says_so(few: list[LabelledPhoto], tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="there is no CUDA GPU"):
        compare(few, "efficientnet_lite0", tmp_path)
