"""Compare the processor time of requests; the result does not depend on the load of the machine."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping

_FEWEST, _MOST = 15, 200
_SURE = 2.58
"""Standard deviations of a normal distribution: in 99 % of runs the interval contains the true median."""


def assert_same_work(requests: Mapping[str, Callable[[], object]], *, within_ms: float) -> dict[str, float]:
    """Fail unless all requests cost the same within ``within_ms``; return their median times in ms.

    Each round makes every request once, in random order, so that changes on the machine affect all requests
    alike. The medians of the differences to the first request are compared, with confidence intervals. More
    rounds follow until each interval is within the limit or one interval is outside. Times are the processor
    time of this thread, which other processes hardly change and which does not include waiting.
    """
    first, *others = requests
    times: dict[str, list[float]] = {name: [] for name in requests}
    for request in requests.values():
        request()  # the first request compiles templates and statements
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
    """Return two order statistics that enclose the median of any distribution."""
    count = len(differences)
    left_out = max(0, math.floor((count - _SURE * math.sqrt(count)) / 2) - 1)
    ordered = sorted(differences)
    return ordered[left_out], ordered[-1 - left_out]
