"""User texts in spreadsheet tables."""

from __future__ import annotations

import pytest

from catloader.texts import as_cell


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_cell_is_never_a_formula(first: str) -> None:
    assert as_cell(f"{first}HYPERLINK(1)") == f"'{first}HYPERLINK(1)"


def test_other_cells_stay_as_they_are() -> None:
    for value in ("Tom = 1", "", "'", -0.5, None, 3):
        assert as_cell(value) == value
