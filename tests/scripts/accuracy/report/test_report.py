"""The HTML report, as text and in Chromium."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import skimage
from playwright.sync_api import Browser, Page, expect

from checker.evaluation.intervals import wilson
from checker.evaluation.photos import LabelledPhoto
from checker.values import Rendition
from scripts.accuracy.report.charts import LEAST_ERRORS, fewest_errors
from scripts.accuracy.report.report import report
from scripts.accuracy.report.text import table
from scripts.accuracy.report.threshold_panel import KEPT, SHOWN
from scripts.chromium import MISSING, chromium, program
from tests.conftest import require
from tests.scripts.accuracy.made_up import compared, result_of

THUMBNAIL = {Rendition.THUMBNAIL: (Path(skimage.__file__).parent / "data" / "rocket.jpg").read_bytes()}
ERRORS = 20
KINDS = ["cat"] * 100 + ["dog"] * 60 + ['thing <or> "scene"'] * 40


def page_of(errors: int, kinds: list[str] | None = None) -> str:
    one = compared(errors, kinds)
    photos = [LabelledPhoto(name, "cat", lambda: THUMBNAIL) for name in one.scores.names]
    return report(result_of(one), [one], photos)


@pytest.mark.parametrize(("errors", "charts"), [(LEAST_ERRORS, 3), (LEAST_ERRORS - 1, 1), (0, 1)])
def test_curves_are_left_out_if_too_few_errors_would_put_them_on_the_axes(errors: int, charts: int) -> None:
    one = compared(errors)
    assert fewest_errors(one.rules[0], one.positive) == errors
    page = page_of(errors)
    assert page.count("<svg") == charts
    assert ("No ROC curve" in page) == (charts == 1)
    assert f"{errors} of 100" in table(result_of(one))


def test_the_page_begins_with_the_result_and_loads_no_other_files() -> None:
    page = page_of(ERRORS)
    first_sentence = re.search(r"<p[^>]*>([^<]*)</p>", page)
    assert first_sentence is not None
    assert first_sentence[1] == f"100 of 100 cats found, {ERRORS} of 100 others called cat, 0 left unsure."
    assert "<th>photo shows<th>cat<th>unsure<th>not_cat" in page
    assert "&lt;0&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "more of not_cat." in page  # the advice on the number of photos


def test_the_page_counts_the_photos_of_each_label() -> None:
    one = compared(ERRORS)
    result = result_of(one)
    result["data"]["counts"] = {"cat": 1, "not_cat": 2, "wild_feline": 1}
    photos = [LabelledPhoto(name, "cat", lambda: THUMBNAIL) for name in one.scores.names]
    assert '<p class="note">1 cat, 2 others, 1 wild feline (data ' in report(result, [one], photos)


def test_the_table_of_all_photos_is_in_the_page() -> None:
    link = re.search(r'download="accuracy.csv" href="data:text/csv;base64,([^"]*)"', page_of(ERRORS))
    assert link is not None
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link[1]).decode())))
    assert len(rows) == 200
    assert [rows[0][column] for column in ("file", "label", "score", "verdict")] == [
        "<0>",
        "cat",
        "0.900000",
        "cat",
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(program(), MISSING)
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    (tmp_path / "report.html").write_text(page_of(ERRORS, KINDS), encoding="utf-8")
    errors: list[str] = []
    width, dark = getattr(request, "param", (1280, False))
    scheme: Literal["dark", "light"] = "dark" if dark else "light"
    with browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request", lambda one: None if one.url.startswith(("file:", "data:")) else errors.append(one.url)
        )
        page.goto((tmp_path / "report.html").as_uri())
        yield page
    assert errors == []


def interval(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{hits} of {n} ({100 * low:.2f} - {100 * high:.2f} %)"


def test_the_slider_changes_rates_kinds_and_the_wrong_photos(page: Page) -> None:
    panel, wrong = page.locator(".threshold"), page.locator("figure.wrong:visible")
    expect(panel.locator(".at")).to_have_text("0.5000")
    expect(panel.locator(".found")).to_have_text(interval(100, 100))
    expect(panel.locator(".called")).to_have_text(interval(ERRORS, 100))
    expect(page.locator("[data-kind=dog]")).to_have_text(interval(20, 60))
    expect(wrong).to_have_count(ERRORS)
    expect(page.locator("figure:visible")).to_have_count(SHOWN + ERRORS)

    slider = panel.locator("input")
    slider.fill("-9")  # now every photo is called a cat
    expect(panel.locator(".called")).to_have_text(interval(100, 100))
    expect(page.locator('[data-kind^="thing"]')).to_have_text(interval(40, 40))
    expect(wrong).to_have_count(KEPT)
    expect(
        page.get_by_text(f"100 called cat at this threshold, {100 - KEPT} of them not shown.")
    ).to_be_visible()

    slider.fill("9")  # now no photo is called a cat
    expect(panel.locator(".found")).to_have_text(interval(0, 100))
    expect(panel.locator(".called")).to_have_text(interval(0, 100))
    expect(panel.locator(".unsure")).to_have_text("200")  # all photos are above the other threshold
    expect(page.get_by_text(f"100 missed at this threshold, {100 - KEPT} of them not shown.")).to_be_visible()

    panel.get_by_role("button").click()
    expect(panel.locator(".called")).to_have_text(interval(ERRORS, 100))


def test_a_photo_that_is_not_called_a_cat_at_any_score_remains_unsure(
    browser: Browser, tmp_path: Path
) -> None:
    one = compared(ERRORS, KINDS)
    rows = list(one.scores.rows)
    rows[100] = replace(rows[100], vetoed=True)  # a dog with a high score
    rows[101] = replace(rows[101], soft=True, score=0.8)  # a blurred one
    one.rules[0].scores[101] = 0.8
    one = replace(one, scores=replace(one.scores, rows=rows))
    photos = [LabelledPhoto(name, "cat", lambda: THUMBNAIL) for name in one.scores.names]
    (tmp_path / "report.html").write_text(report(result_of(one), [one], photos), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    panel = page.locator(".threshold")
    expect(panel.locator(".called")).to_have_text(interval(ERRORS - 2, 100))
    expect(panel.locator(".unsure")).to_have_text("82")  # including those between the thresholds
    panel.locator("input").fill("-9")
    expect(panel.locator(".called")).to_have_text(interval(98, 100))
    expect(panel.locator(".unsure")).to_have_text("2")
    expect(page.get_by_text("(vetoed)")).to_be_visible()
    expect(page.get_by_text("0.8000 (soft)")).to_have_count(1)
    page.close()


@pytest.mark.parametrize("page", [(390, False), (390, True), (1280, True)], indirect=True)
def test_the_page_fits_a_phone_and_follows_the_colour_scheme(
    page: Page, request: pytest.FixtureRequest
) -> None:
    width, dark = request.node.callspec.params["page"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = [
        [
            int(number)
            for number in re.findall(r"\d+", page.evaluate(f"getComputedStyle({element}).{name}"))[:3]
        ]
        for element, name in (
            ("document.body", "backgroundColor"),
            ("document.body", "color"),
            ("document.querySelector('svg text')", "fill"),
        )
    ]
    paper, ink, chart_ink = (sum(colour) for colour in colours)
    assert (paper < 150, ink > 600) == (dark, dark)
    assert chart_ink == ink
