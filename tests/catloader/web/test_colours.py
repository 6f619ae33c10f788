"""Contrasts of colours that axe-core does not examine."""

from __future__ import annotations

import re

import pytest

from checker.evaluation.provenance import ROOT

_COLOUR = re.compile(r"--([a-z-]+): #([0-9a-f]{3,6});")
_STATIC = ROOT / "catloader/web/static"


def _luminance(rgb: list[float]) -> float:
    """Return the relative luminance of WCAG 2.2 of a colour with values of 0 to 255."""
    linear = [c / 3294.6 if c <= 10.31 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_edges_of_fields_and_buttons_have_a_contrast_of_three(theme: str) -> None:
    """WCAG 2.2, 1.4.11."""
    css = (_STATIC / "site.css").read_text("utf-8")
    root = css[: css.index("}")]
    texts = dict(_COLOUR.findall(root))
    if theme == "dark":
        texts |= dict(_COLOUR.findall((_STATIC / "dark.css").read_text("utf-8")))
    colours = {
        name: [int(text[place : place + 2], 16) for place in (0, 2, 4)]
        for name, short in texts.items()
        for text in [short if len(short) == 6 else "".join(2 * digit for digit in short)]
    }
    (share,) = re.findall(r"--edge: color-mix\(in srgb, var\(--soft\) ([0-9]+)%, var\(--line\)\);", root)
    mixed = zip(colours["soft"], colours["line"], strict=True)
    edge = _luminance([(int(share) * soft + (100 - int(share)) * line) / 100 for soft, line in mixed])
    for ground in ("paper", "card"):
        darker, lighter = sorted([edge, _luminance([*map(float, colours[ground])])])
        assert (lighter + 0.05) / (darker + 0.05) >= 3, ground
    assert not re.findall(r"border[^;]*color-mix", css), "other edges may have less contrast"
