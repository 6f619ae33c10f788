"""The slices of a set of photos by facts about their pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from checker.pixels.facts import Facts

Slicer = Callable[[Facts], float]
SLICES: Mapping[str, tuple[Slicer, Mapping[str, float]]] = {
    "sharpness": (
        lambda facts: facts.sharpness,
        {"soft (below 15)": 15, "15 to 30": 30, "sharp (30 and more)": float("inf")},
    ),
    "shorter side": (
        lambda facts: min(facts.width_px, facts.height_px),
        {"below 200 px": 200, "200 to 399 px": 400, "400 to 999 px": 1000, "1000 px and more": float("inf")},
    ),
    "aspect": (
        lambda facts: max(facts.width_px, facts.height_px) / min(facts.width_px, facts.height_px),
        {"up to 1.2 : 1": 1.2, "1.2 to 1.6 : 1": 1.6, "1.6 to 2.2 : 1": 2.2, "longer": float("inf")},
    ),
    "brightness": (
        lambda facts: facts.brightness,
        {"dark (below 80)": 80, "80 to 149": 150, "bright (150 and more)": float("inf")},
    ),
    "colour": (lambda facts: facts.colour, {"grey (below 8)": 8, "coloured": float("inf")}),
}
"""Name -> a function of a photo's facts, and the ranges of its value: title -> upper end, exclusive."""


def slice_of(name: str, facts: Facts) -> str:
    """Return the title of the range of ``SLICES[name]`` to which a photo belongs."""
    figure, ends = SLICES[name]
    return next(title for title, end in ends.items() if figure(facts) < end)
