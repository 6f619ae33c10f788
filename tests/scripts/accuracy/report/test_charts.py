from __future__ import annotations

import re
from xml.etree import ElementTree

from checker.decision.profile import OperatingPoint
from checker.evaluation.intervals import rate
from scripts.accuracy.report.charts import curves, reliability
from tests.scripts.accuracy.made_up import rules_with_errors

BINS = [{"score": 0.1, "share": 0.2, "n": 5}, {"score": 0.9, "share": 0.8, "n": 1}]


def test_charts_are_well_formed_and_use_the_pages_colour() -> None:
    applied, positive = rules_with_errors(20)
    for svg in [*curves(applied, positive, ()), reliability(BINS, 0.1)]:
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        texts = re.findall(r"<text[^>]*>", svg)
        assert texts
        assert all("currentColor" in text for text in texts)  # readable on the dark page, the legend too
        assert "#000000" not in svg


def test_the_axes_show_errors_and_reach_from_one_error_to_all() -> None:
    applied, positive = rules_with_errors(20)
    for svg in curves(applied, positive, ()):
        words = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
        assert "of 100" in words
        assert all(tick in words for tick in ("1 %", "10 %", "100 %"))


def test_every_point_and_every_bin_has_its_interval() -> None:
    """Matplotlib draws all error bars of one direction as one collection of lines."""
    applied, positive = rules_with_errors(20)
    without, _ = curves(applied, positive, ())
    with_point, _ = curves(applied, positive, [OperatingPoint(0.01, 0.5, rate(0, 9), rate(0, 9))])
    assert with_point.count("LineCollection") == without.count("LineCollection") + 2
    assert without.count('id="FillBetweenPolyCollection') == 2
    assert "LineCollection" in reliability(BINS, 0.1)
