"""Choose a threshold from the tail of scores, without scipy: pages measure thresholds, and calibration."""

from __future__ import annotations

import math

import numpy as np

from checker.decision.head import Doubles

FALSE_POSITIVE_TARGETS = (0.003, 0.005, 0.01, 0.02, 0.05)
FALSE_NEGATIVE_TARGETS = (0.005, 0.01, 0.02, 0.05)
TAIL_SHARE = 0.1


def threshold_above(logits: Doubles, target: float) -> float:
    """Return the logit that at most a share of ``target`` of unseen photos like these reaches.

    A plain quantile this far out would rest on two or three photos. So the highest tenth is taken as an
    exponential tail (the usual one of log-odds), and its slope is lengthened by one standard error to stay on
    the safe side. Where the tail is longer than that, the plain quantile is the higher one, and holds.
    """
    falling = np.sort(logits)[::-1]
    tail = max(int(len(falling) * TAIL_SHARE), 2)
    if len(falling) <= tail:
        raise ValueError(f"{len(falling)} photos are too few to choose a threshold from")
    start = float(falling[tail])
    slope = float((falling[:tail] - start).mean()) * (1 + 1 / math.sqrt(tail))
    by_tail = start + slope * math.log(tail / (len(falling) * target))
    return max(by_tail, float(np.nextafter(falling[int(len(falling) * target)], math.inf)))


def measurable(targets: tuple[float, ...], n: int) -> tuple[float, ...]:
    """Return the targets that ``n`` photos can measure: at least one error must be expected."""
    return tuple(target for target in targets if target * n >= 1)
