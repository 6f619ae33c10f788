"""Choose a threshold from the tail of scores, without scipy: used by pages and by calibration."""

from __future__ import annotations

import math

import numpy as np

from checker.decision.head import Doubles

FALSE_POSITIVE_TARGETS = (0.003, 0.005, 0.01, 0.02, 0.05)
FALSE_NEGATIVE_TARGETS = (0.005, 0.01, 0.02, 0.05)
TAIL_SHARE = 0.1


def threshold_above(logits: Doubles, target: float) -> float:
    """Return the logit that at most a share of ``target`` of unseen photos like these reaches.

    A plain quantile this far out would depend on two or three photos. So an exponential tail, typical of
    log-odds, is fitted to the highest tenth, and its scale is increased by one standard error to be on the
    safe side. If the actual tail is longer, the plain quantile is higher and is used instead.
    """
    falling = np.sort(logits)[::-1]
    tail = max(int(len(falling) * TAIL_SHARE), 2)
    if len(falling) <= tail:
        raise ValueError(f"too few photos to choose a threshold from: {len(falling)}")
    start = float(falling[tail])
    slope = float((falling[:tail] - start).mean()) * (1 + 1 / math.sqrt(tail))
    by_tail = start + slope * math.log(tail / (len(falling) * target))
    return max(by_tail, float(np.nextafter(falling[int(len(falling) * target)], math.inf)))


def measurable(targets: tuple[float, ...], n: int) -> tuple[float, ...]:
    """Return the targets that ``n`` photos can measure: at least one error must be expected."""
    return tuple(target for target in targets if target * n >= 1)
