"""A comparison of the work that requests cost, whose result does not depend on how busy the machine is."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping

_FEWEST, _MOST = 15, 200
_SURE = 2.58
"""Standard deviations of a normal distribution: the interval holds the true median in 99 % of runs."""


def assert_same_work(requests: Mapping[str, Callable[[], object]], *, within_ms: float) -> dict[str, float]:
    """Fail unless all requests cost the same, to less than ``within_ms``; return their median times in ms.

    Each round makes every request once, in random order, so that what changes on the machine changes all of
    them. Compared are the medians of the differences to the first request, with their intervals: more rounds
    are made until each interval is within the limit, or one is outside. Measured is the processor time of
    this thread, which other processes hardly change; waiting is not in it.
    """
    first, *others = requests
    times: dict[str, list[float]] = {name: [] for name in requests}
    for request in requests.values():
        request()  # the first one compiles templates and statements
    while True:
        for name in random.sample(list(requests), len(requests)):
            begun_s = time.thread_time()
            requests[name]()
            times[name].append(1000 * (time.thread_time() - begun_s))
        rounds = len(times[first])
        if rounds < _FEWEST:
            continue
        gaps = {
            name: _interval([a - b for a, b in zip(times[name], times[first], strict=True)])
            for name in others
        }
        is_same = all(-within_ms < low and high < within_ms for low, high in gaps.values())
        differs = any(low > within_ms or high < -within_ms for low, high in gaps.values())
        if is_same or differs or rounds == _MOST:
            assert is_same, f"ms more than {first}, after {rounds} rounds: {gaps}"
            return {name: statistics.median(one) for name, one in times.items()}


def _interval(differences: list[float]) -> tuple[float, float]:
    """Return two order statistics, between which the median of any distribution is."""
    count = len(differences)
    left_out = max(0, math.floor((count - _SURE * math.sqrt(count)) / 2) - 1)
    ordered = sorted(differences)
    return ordered[left_out], ordered[-1 - left_out]
