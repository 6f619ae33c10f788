"""Windows of a feature map: the whole map first, then its corners."""

from __future__ import annotations

import pytest
import torch

from models.architectures.windows import WINDOWS, windowed
from models.build import architecture


@pytest.mark.parametrize(("size", "corner"), [(7, 4), (9, 6), (1, 1)])
def test_windows_are_the_whole_map_and_its_overlapping_corners(size: int, corner: int) -> None:
    feature_map = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(3))
    result = windowed(feature_map)
    assert result.shape == (2, WINDOWS, 3)
    first, last = slice(None, corner), slice(-corner, None)
    expected = [
        feature_map,
        *(feature_map[..., rows, columns] for rows in (first, last) for columns in (first, last)),
    ]
    for number, part in enumerate(expected):
        assert torch.allclose(result[:, number], part.mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_a_window_of_a_wide_input_is_classified_like_any_other(name: str) -> None:
    model = architecture(name).eval()
    with torch.inference_mode():
        features, logits = model(torch.rand(1, 3, 96, 160))
        assert torch.allclose(logits, model.classify(features))  # type: ignore[operator]
    assert logits.shape == (1, WINDOWS, 1000)
