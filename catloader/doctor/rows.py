"""The rows of the report, and their making from errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from catloader.errors import CatLoaderError
from checker.errors import CheckerError
from models.errors import ModelsError

Result = Literal["ok", "note", "failed"]
"""``note``: the part works, but the operator should read the sentence."""

EXPECTED = (CatLoaderError, CheckerError, ModelsError)


@dataclass(frozen=True, slots=True)
class Row:
    part: str
    result: Result
    sentence: str
    """The finding and, if the part failed, the remedy, in one plain sentence."""


def examined(part: str, examine: Callable[[], str | Row]) -> Row:
    """Run an examination and return its row; a sentence becomes a passed row, an error a failed row."""
    try:
        result = examine()
    except EXPECTED as error:
        return Row(part, "failed", str(error))
    return result if isinstance(result, Row) else Row(part, "ok", result)
