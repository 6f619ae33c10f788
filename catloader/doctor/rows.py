"""One row of the report, also made from an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from catloader.errors import CatLoaderError
from checker.errors import CheckerError
from models.errors import ModelsError

Result = Literal["ok", "note", "failed"]
"""``note``: the part works, but there is something to know."""

EXPECTED = (CatLoaderError, CheckerError, ModelsError)


@dataclass(frozen=True, slots=True)
class Row:
    part: str
    result: Result
    sentence: str
    """One plain sentence: what was found; if it failed, what to do."""


def examined(part: str, examine: Callable[[], str | Row]) -> Row:
    """Run one examination: its sentence becomes a row that passed, one of our errors a row that failed."""
    try:
        result = examine()
    except EXPECTED as error:
        return Row(part, "failed", str(error))
    return result if isinstance(result, Row) else Row(part, "ok", result)
