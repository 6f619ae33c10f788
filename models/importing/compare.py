"""Compare a converted model with its source by their logits on a real photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from models.build import build
from models.catalogue import Entry, Preprocessing
from models.errors import WeightsRefused

# Any photo with many objects would do; this photo is shipped.
_PHOTO = Path(__file__).parents[1] / "profiles" / "golden.jpg"
TOLERANCE = 1e-4
"""Accepted share of the largest logit. float32 and float64 differ by about 1e-6, float16 by about 4e-4."""


def example_pixels(side_px: int) -> npt.NDArray[np.uint8]:
    """Return a photo and its mirror image: (2, side, side, 3), RGB."""
    with Image.open(_PHOTO) as photo:
        pixels = np.asarray(photo.convert("RGB").resize((side_px, side_px)))
    return np.stack([pixels, pixels[:, ::-1]])


def normalised(pixels: npt.NDArray[np.uint8], steps: Preprocessing) -> npt.NDArray[np.float32]:
    """Turn uint8 (N, H, W, 3) into a model's input, (N, 3, H, W)."""
    inputs = (pixels / steps.scale - np.array(steps.mean)) / np.array(steps.std)
    return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2), np.float32)


@torch.inference_mode()
def difference(
    entry: Entry, path: Path, pixels: npt.NDArray[np.uint8], expected: npt.NDArray[np.floating]
) -> float:
    """Return the largest difference from the expected logits, as a share of the largest expected logit.

    Args:
        path: the converted weights, which must match the entry's digest.
        pixels: uint8 (N, H, W, 3), RGB.
        expected: the source's logits for these pixels, (N, 1000).
    Raises:
        WeightsRefused: the difference exceeds the tolerance.
    """
    _, logits = build(entry, path)(torch.from_numpy(normalised(pixels, entry.preprocessing)))
    whole = logits[:, 0].numpy()
    if expected.shape != whole.shape:
        raise WeightsRefused(
            f"The source gives {expected.shape[-1]} logits for a photo, not {whole.shape[-1]}."
        )
    if not np.isfinite(expected).all():
        raise WeightsRefused("The source's logits are not finite numbers, so the source is damaged.")
    share = float(np.abs(whole - expected).max() / np.abs(expected).max())
    if not share <= TOLERANCE:
        raise WeightsRefused(
            f"The converted {entry.name} is refused: its logits differ from the source's by {share:.0e} of "
            f"the largest logit; at most {TOLERANCE:.0e} is allowed."
        )
    return share
