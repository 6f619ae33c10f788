"""The models that administrators chose for all checkers, and the results of shadow runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, delete, insert, select, update

from catloader.store.db.engine import one_at_a_time, reading, writing
from catloader.store.db.schema import model_choices as table
from catloader.store.db.schema import shadow_reports
from catloader.store.db.staff.audit_log import record

_KEPT_REPORTS = 20


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One choice; the newest one that was not refused is current."""

    id: int
    made_at: datetime
    actor: str
    """E-mail or ``command line``; empty: the model in use before the first choice."""
    model: str
    """A name of the catalogue, or ``auto``."""
    loaded_at: datetime | None
    """None: no checker has loaded it yet."""
    refusal: str | None
    """The reason why the first checker that tried could not load it, in one plain sentence."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """The result of a shadow run: the verdicts that another model would change."""

    made_at: datetime
    current: str
    candidate: str
    counts: Mapping[str, int]
    flips: Mapping[str, int]
    """"cat -> not_cat" -> number of photos"""
    photos: Sequence[Sequence[Any]]
    """Of the first flips: (id, verdict, score, candidate's verdict, candidate's score, person's verdict)"""


class ModelChoices:
    """The choices. Process-safe: if two checkers load or refuse a choice, the first one decides."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self) -> ModelChoice | None:
        """Return the current choice; None: nothing was chosen."""
        rows = self._some(_not_refused().limit(1))
        return rows[0] if rows else None

    def previous(self) -> str | None:
        """Return the model to which a rollback returns, that before the current one; None: there is none."""
        rows = self._some(_not_refused().limit(2))
        return rows[1].model if len(rows) == 2 else None

    def history(self, limit: int) -> list[ModelChoice]:
        """Return the latest choices, newest first, including refused ones."""
        return self._some(select(table).order_by(table.c.id.desc()).limit(limit))

    def choose(
        self, model: str, before: str, act: str, actor_id: int | None, now: datetime, *, is_loaded: bool
    ) -> None:
        """Choose a model, unless it is the current one.

        Args:
            before: the model that is current if nothing was chosen yet; the first choice adds a row for it.
            act: for the audit log.
            is_loaded: the caller has loaded the model, and its self-test has passed.
        """
        with writing(self._engine) as connection:
            one_at_a_time(connection, table)
            current = connection.execute(_not_refused().limit(1)).first()
            if (current.model if current else before) == model:
                return
            if current is None:
                first = {"made_at": now, "actor": "", "model": before, "loaded_at": now}
                connection.execute(insert(table).values(first))
            actor = record(connection, actor_id, act, model, now)
            row = {"made_at": now, "actor": actor, "model": model, "loaded_at": now if is_loaded else None}
            connection.execute(insert(table).values(row))

    def mark_loaded(self, id: int, now: datetime) -> None:
        self._mark(id, {"loaded_at": now})

    def refuse(self, id: int, reason: str) -> bool:
        """Mark a choice as refused, which returns to the previous one; False: a checker has loaded it."""
        return self._mark(id, {"refusal": reason})

    def add_report(self, report: ShadowReport) -> None:
        """Store a report, and delete all but the newest ``_KEPT_REPORTS``."""
        with writing(self._engine) as connection:
            connection.execute(insert(shadow_reports).values(asdict(report)))
            newest = select(shadow_reports.c.id).order_by(shadow_reports.c.id.desc()).limit(_KEPT_REPORTS)
            kept_ids = list(connection.execute(newest).scalars())
            connection.execute(delete(shadow_reports).where(shadow_reports.c.id < min(kept_ids)))

    def latest_report(self) -> ShadowReport | None:
        columns = [column for column in shadow_reports.columns if column.key != "id"]
        query = select(*columns).order_by(shadow_reports.c.id.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return ShadowReport(**row._mapping) if row else None

    def _mark(self, id: int, values: dict[str, Any]) -> bool:
        untried = (table.c.id == id) & table.c.loaded_at.is_(None) & table.c.refusal.is_(None)
        with writing(self._engine) as connection:
            return connection.execute(update(table).where(untried).values(values)).rowcount == 1

    def _some(self, query: Select[Any]) -> list[ModelChoice]:
        with reading(self._engine) as connection:
            return [ModelChoice(**row._mapping) for row in connection.execute(query)]


def _not_refused() -> Select[Any]:
    """Select the choices that were not refused, newest first; the first row is the current choice."""
    return select(table).where(table.c.refusal.is_(None)).order_by(table.c.id.desc())
