"""Default sizes of the two stored renditions; imports nothing, so that settings can read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenditionSizes:
    """Bounds of the stored photo and its thumbnail."""

    max_edge_px: int = 2560
    thumbnail_px: int = 320
    jpeg_quality: int = 88


DEFAULT_SIZES = RenditionSizes()
"""The sizes that the site stores by default, and that the folder tool uses."""
