"""The comparison of devices, with this machine's GPU or, without one, its processor."""

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
    # Of each label: most processors emulate bf16, in a second or two a photo.
    most = 4 if DEVICE == "cuda" else 1
    photos = photo_set.photos
    cats = [photo for photo in photos if photo.label == CAT][:most]
    others = [photo for photo in photos if photo.label != CAT][:most]
    return cats + others


def test_less_precision_moves_scores_by_less_than_the_tolerance(few: list[LabelledPhoto]) -> None:
    before = torch.backends.cudnn.allow_tf32
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
    assert torch.backends.cudnn.allow_tf32 == before, "the comparison restores the setting"


@pytest.mark.skipif(DEVICE == "cuda", reason="this machine has a GPU")
def test_a_machine_without_a_gpu_is_refused_in_one_sentence(few: list[LabelledPhoto], tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="there is no CUDA GPU"):
        compare(few, "efficientnet_lite0", tmp_path)
