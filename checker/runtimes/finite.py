"""Refuse outputs that are not finite: weights overflow in a precision, or a device is broken."""

from __future__ import annotations

import numpy as np

from checker.errors import ClassifierFailed
from checker.values import Floats


def refuse_not_finite(logits: Floats, device: str) -> None:
    """Check that scores can be computed.

    Raises:
        ClassifierFailed: a logit is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise ClassifierFailed(f"The model's outputs on {device} are not finite.")
