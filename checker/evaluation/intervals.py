"""Wilson's interval of a share, without scipy: used by pages and by calibration."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""Number of standard deviations that cover 95 % of a normal distribution."""


def wilson(errors: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval for a share: its coverage holds near 0 and 1, where these rates lie."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = errors / n, Z95**2
    centre = share + z2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = ((centre + side * spread) / (1 + z2 / n) for side in (-1, 1))
    # Rounding must not move the ends when the count is zero or complete.
    return 0.0 if errors == 0 else low, 1.0 if errors == n else high
