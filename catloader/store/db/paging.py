"""Read many rows page by page, or a random sample of them.

Pages go by id: a page costs the same at the end of a million rows as at their beginning, and no transaction
stays open while the caller works on one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select

from catloader.store.db.engine import reading

PAGE = 200


def pages(
    engine: Engine, query: Select[Any], id: ColumnElement[int], sample: int | None = None
) -> Iterator[Sequence[Row[Any]]]:
    """Yield the rows of ``query`` by rising ``id``, at most ``PAGE`` at a time.

    Args:
        id: the selected column of that name, unique in the result.
        sample: yield only this number of rows, drawn at random with equal probability.
    """
    if sample is not None:
        ids = _sample(engine, query.with_only_columns(id), sample)
        for start in range(0, len(ids), PAGE):
            yield _rows(engine, query.where(id.in_(ids[start : start + PAGE])).order_by(id))
        return
    rows = _rows(engine, query.order_by(id).limit(PAGE))
    while rows:
        yield rows
        last_id = rows[-1].id
        rows = _rows(engine, query.where(id > last_id).order_by(id).limit(PAGE))


def _sample(engine: Engine, ids: Select[Any], size: int) -> list[int]:
    """Draw ids by reservoir sampling: one pass, and memory for ``size`` ids."""
    sample: list[int] = []
    with reading(engine) as connection:
        rows = connection.execution_options(yield_per=10_000).execute(ids).scalars()
        for place, id in enumerate(rows):
            if place < size:
                sample.append(id)
            elif (slot := random.randrange(place + 1)) < size:  # noqa: S311 - a statistical sample, no secret
                sample[slot] = id
    return sorted(sample)


def _rows(engine: Engine, query: Select[Any]) -> Sequence[Row[Any]]:
    with reading(engine) as connection:
        return connection.execute(query).all()
