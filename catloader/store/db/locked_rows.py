"""Locks on the rows that a statement changes next."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select


def locked(query: Select[Any], *, wait: bool = False) -> Select[Any]:
    """Select and lock the ids of ``query``; skip rows that others have locked, unless ``wait``.

    The CTE is materialised because the planner may run a sub-select several times and lock different rows
    each time: more rows than the limit would be claimed.
    """
    rows = query.with_for_update(skip_locked=not wait).cte().prefix_with("MATERIALIZED", dialect="postgresql")
    return select(rows.c.id)
