"""A database that refuses some statements, as if another program had locked it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def locked_for(engine: Engine, beginning: str) -> Iterator[list[str]]:
    """Let the driver refuse statements that start with ``beginning``; yield the refused statements."""
    refused: list[str] = []

    def execute(_cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith(beginning):
            refused.append(statement)
            raise engine.dialect.loaded_dbapi.OperationalError("database is locked")

    event.listen(engine, "do_execute", execute)
    try:
        yield refused
    finally:
        event.remove(engine, "do_execute", execute)
