"""The whole examination, in the order in which a site starts."""

from __future__ import annotations

from collections.abc import Iterator

from catloader.doctor import database, dispatch, log_in, machine, model, object_store
from catloader.doctor.rows import Row, examined
from catloader.settings import Settings


def examine(settings: Settings) -> Iterator[Row]:
    """Yield the rows one by one; this takes some seconds, most of them for the model.

    If no site runs on the data folder, the embedded object store is started. The examination makes the data
    folder, and writes a test object into each bucket and deletes it; it changes nothing else.
    """
    yield from machine.rows(settings)
    yield from _denied_rows("database", database.rows(settings))
    yield from _denied_rows("object store", object_store.rows(settings))
    yield from log_in.rows(settings)
    yield from _denied_rows("model", model.rows(settings))
    yield examined("dispatch", lambda: dispatch.row(settings))


def _denied_rows(part: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows; if a path can't be used, the last row is a failed one."""
    try:
        yield from rows
    except OSError as error:
        if not error.filename:
            raise
        yield Row(part, "failed", f"{error.filename} can't be used: {error.strerror}.")
