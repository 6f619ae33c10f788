"""One row of the report, and how an error becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from catloader.errors import CatLoaderError
from checker.errors import CheckerError
from models.errors import ModelsError

Result = Literal["ok", "note", "failed"]
"""``note``: works, but something is worth knowing."""

EXPECTED = (CatLoaderError, CheckerError, ModelsError)


@dataclass(frozen=True, slots=True)
class Row:
    part: str
    result: Result
    sentence: str
    """One plain sentence: what was found; if it failed, what to do."""


def examined(part: str, examine: Callable[[], str | Row]) -> Row:
    """Run one examination: the sentence it returns is good news, an error of ours is a failed row."""
    try:
        found = examine()
    except EXPECTED as error:
        return Row(part, "failed", str(error))
    return found if isinstance(found, Row) else Row(part, "ok", found)
