"""Texts of users: invisible texts count as empty, and cells of spreadsheets are never formulas."""

from __future__ import annotations

import pytest

from catloader.texts import as_cell, clean_text, visible


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_cell_is_never_a_formula(first: str) -> None:
    assert as_cell(f"{first}HYPERLINK(1)") == f"'{first}HYPERLINK(1)"


def test_other_cells_are_unchanged() -> None:
    for value in ("Tom = 1", "", "'", -0.5, None, 3):
        assert as_cell(value) == value


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b", "\u3164", "\u2800 \u00ad", "\u202e\u202c", "\ufe0f", "\u0301"]
)
def test_an_invisible_text_is_empty(text: str) -> None:
    assert clean_text(text, "caption") == visible(text) == ""


@pytest.mark.parametrize("text", ["a\u200b", "é", "\u202eabc", "שלום", "👨\u200d👩\u200d👧", ".", "ㅎ"])
def test_a_visible_text_is_unchanged(text: str) -> None:
    assert clean_text(text, "caption") == visible(text) == text
