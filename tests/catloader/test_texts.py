"""User texts: what can be seen of them, and as cells of spreadsheet tables."""

from __future__ import annotations

import pytest

from catloader.texts import as_cell, clean_text, visible


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_cell_is_never_a_formula(first: str) -> None:
    assert as_cell(f"{first}HYPERLINK(1)") == f"'{first}HYPERLINK(1)"


def test_other_cells_stay_as_they_are() -> None:
    for value in ("Tom = 1", "", "'", -0.5, None, 3):
        assert as_cell(value) == value


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b", "\u3164", "\u2800 \u00ad", "\u202e\u202c", "\ufe0f", "\u0301"]
)
def test_a_text_of_which_nothing_can_be_seen_is_empty(text: str) -> None:
    assert clean_text(text, "caption") == visible(text) == ""


@pytest.mark.parametrize("text", ["a\u200b", "é", "\u202eabc", "שלום", "👨\u200d👩\u200d👧", ".", "ㅎ"])
def test_a_text_that_can_be_seen_stays_as_it_is(text: str) -> None:
    assert clean_text(text, "caption") == visible(text) == text
