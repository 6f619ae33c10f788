"""The tables of models that administrators chose; ``schema`` has them with all others."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table, Text

from catloader.store.db.metadata import metadata
from catloader.store.db.utc_datetime import UtcDateTime

# What ``CATCHECK_MODEL=auto`` means: the newest row that was not refused. Rows are added, and once marked.
model_choices = Table(
    "model_choices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("actor", String(254), nullable=False),  # e-mail at that time; '' in the row of the state before
    Column("model", String(64), nullable=False),  # of the catalogue, or 'auto'
    Column("loaded_at", UtcDateTime),  # by the first checker that could
    Column("refusal", Text),  # why the first checker that tried could not
)

# The results of `catloader models shadow`.
shadow_reports = Table(
    "shadow_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("current", String(64), nullable=False),
    Column("candidate", String(64), nullable=False),
    Column("counts", JSON, nullable=False),  # {"compared": ..., "towards_cat": ..., ...}
    Column("flips", JSON, nullable=False),  # {"cat -> not_cat": number}
    Column("photos", JSON, nullable=False),  # [[id, verdict, score, verdict, score, person's], ...]
)
