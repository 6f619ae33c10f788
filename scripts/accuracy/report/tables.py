"""Tables of the HTML report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from scripts.accuracy.report.text import interval


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure with its interval."""

    figure: str
    interval: str
    kind: str | None = None
    """If set, the page's script writes the rate of this kind of photo into the cell."""


def counted_cell(share: Mapping[str, Any] | None, kind: str | None = None) -> Cell | str:
    """Return ``98 of 100`` with its interval; empty if there are no such photos.

    Args:
        kind: kind of the photos, if the rate follows the threshold slider.
    """
    if share is None:
        return ""
    return Cell(f"{round(share['rate'] * share['n'])} of {share['n']}", interval(share), kind)


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table that can be scrolled sideways on a narrow screen."""
    body = "".join("<tr>" + "".join(map(_cell, row)) for row in rows)
    heading = "".join(f"<th>{escape(title)}" for title in head)
    return f'<div class="scroll"><table><tr>{heading}{body}</table></div>'


def _cell(content: object) -> str:
    if not isinstance(content, Cell):
        return f"<td>{escape(str(content))}"
    live = f' data-kind="{escape(content.kind)}"' if content.kind is not None else ""
    return f'<td{live}>{escape(content.figure)} <span class="interval">({escape(content.interval)})</span>'
