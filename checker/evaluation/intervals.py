"""Rates with Wilson's interval, without scipy: used by pages and by calibration."""

from __future__ import annotations

import math

from checker.decision.profile import Rate

Z95 = 1.959963984540054
"""Number of standard deviations that cover 95 % of a normal distribution."""


def wilson(errors: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval for a share; it is accurate near 0 and 1 too, where these rates lie.

    An expected number of ``errors`` need not be whole.
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = errors / n, Z95**2
    centre = share + z2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = ((centre + side * spread) / (1 + z2 / n) for side in (-1, 1))
    # Rounding must not move the ends of the interval when the count is 0 or n.
    return 0.0 if errors == 0 else low, 1.0 if errors == n else high


def rate(errors: int, n: int) -> Rate:
    """Return the share of errors, with its interval."""
    low, high = wilson(errors, n)
    return Rate(errors=int(errors), n=int(n), rate=errors / n if n else 0.0, low=low, high=high)


def recall(missed: int, n: int) -> Rate:
    """Return the share of photos found, with its interval; ``errors`` counts the missed photos."""
    low, high = wilson(n - missed, n)
    return Rate(errors=int(missed), n=int(n), rate=1 - missed / n if n else 0.0, low=low, high=high)
